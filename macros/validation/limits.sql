{#- Where large bases are cut, one macro per figure, so that a check can set it low. Who is kept, or
    goes with whom, is decided by a hash of the id. -#}


{#- Up to so many customers each is a cluster of its own. -#}
{% macro most_single_clusters() %}{{ return(20000) }}{% endmacro %}


{#- Of more customers those whose hash begins with the same hexadecimal digits are a cluster: 16 to
    the power of this many clusters, 4,096. -#}
{% macro cluster_hash_digits() %}{{ return(3) }}{% endmacro %}


{#- The customers by whom signals are judged. -#}
{% macro most_judged_customers() %}{{ return(200000) }}{% endmacro %}


{#- The customers of a finished date, and of all finished dates together, that models see. -#}
{% macro most_customers_of_a_date() %}{{ return(100000) }}{% endmacro %}

{% macro most_customers_of_a_fit() %}{{ return(1000000) }}{% endmacro %}
