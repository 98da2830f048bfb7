-- Grain: one row per row of the customers source; no rows when the var using_customers is false.
{{ read_source('customers') }}
