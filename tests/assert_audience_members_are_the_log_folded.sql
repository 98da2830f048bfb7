-- For every audience: added minus removed gives who is on the list, and nobody is added twice or
-- removed without being there.
with

members as (

    select
        audience_code,
        customer_id
    from {{ ref('audience_members') }}

),

balances as (

    select
        audience_code,
        customer_id,
        sum(case change_type when 'add' then 1 when 'remove' then -1 else 0 end) as balance
    from {{ ref('audience_changes') }}
    group by audience_code, customer_id

),

-- After each change of a customer: 1 on the list, 0 not on it.
running as (

    select
        audience_code,
        customer_id,
        change_number,
        change_type,
        sum(case change_type when 'add' then 1 when 'remove' then -1 else 0 end) over (
            partition by audience_code, customer_id order by change_number
            rows between unbounded preceding and current row
        ) as is_on_list
    from {{ ref('audience_changes') }}

)

select
    coalesce(balances.audience_code, members.audience_code) as audience_code,
    coalesce(balances.customer_id, members.customer_id) as customer_id,
    'the list is not the log' as problem
from balances
full outer join members
    on
        balances.audience_code = members.audience_code
        and balances.customer_id = members.customer_id
where
    coalesce(balances.balance, 0) <> case when members.customer_id is null then 0 else 1 end
union all
select
    audience_code,
    customer_id,
    'a change that the one before does not allow' as problem
from running
where
    is_on_list not in (0, 1)
    or (change_type = 'update' and is_on_list = 0)
