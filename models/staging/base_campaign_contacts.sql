-- Grain: one row per row of the campaign contacts source; no rows when the var
-- using_campaign_contacts is false.
{{ read_source('campaign_contacts', keep_text=['contacted_at', 'contact_cost', 'incentive_cost']) }}
