-- Grain: one row per row of the products source; no rows when the var using_products is false.
{{ read_source('products') }}
