-- Grain: one row per row of the engagement events source; no rows when the var
-- using_engagement_events is false.
{{ read_source('engagement_events', keep_text=['event_at', 'event_value']) }}
