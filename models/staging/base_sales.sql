-- Grain: one row per row of the sales source, good or bad.
-- Only the base models know the user's column names and types. Every value is read guarded: what
-- cannot be read is null here and named in stg_sales_rejected, where the source's own text shows
-- what it was.
{{ read_source('sales', keep_text=['sale_date', 'revenue']) }}
