/*
grain = "one day in the lake's zone"
key = ["date"]
scope = "whole"
inputs = ["fact_post", "existing"]
order = ["date"]

[columns]
date = { type = "DATE", description = "The day; joins to created_date." }
year = { type = "INTEGER", description = "Year." }
quarter = { type = "INTEGER", description = "Quarter, 1 to 4." }
month = { type = "INTEGER", description = "Month, 1 to 12." }
day = { type = "INTEGER", description = "Day of the month." }
day_of_year = { type = "INTEGER", description = "Day of the year, from 1." }
iso_year = { type = "INTEGER", description = "Year of the ISO week." }
iso_week = { type = "INTEGER", description = "ISO week, 1 to 53." }
weekday = { type = "INTEGER", description = "Day of the week, Monday 1 to Sunday 7." }
is_weekend = { type = "BOOLEAN", description = "Saturday or Sunday." }
is_holiday = { type = "BOOLEAN", description = "Whether all of the country of the lake's zone has a public holiday." }
holiday = { type = "VARCHAR", description = "Its name, in the country's language; null if there is none." }
*/

-- Whole years, from the first year with a post to the last. A year stays when its posts are deleted.
with bounds as (
  select min(first_day) as first_day, max(last_day) as last_day
  from (
    select min(created_date) as first_day, max(created_date) as last_day from fact_post
    union all
    select min(date) as first_day, max(date) as last_day from existing
  ) as both_bounds
),
days as (
  select cast(unnest(generate_series(
    cast(date_trunc('year', first_day) as date),
    cast(date_trunc('year', last_day) as date) + interval 1 year - interval 1 day,
    interval 1 day
  )) as date) as date
  from bounds
  where first_day is not null
)
select
  date,
  extract(year from date) as year,
  extract(quarter from date) as quarter,
  extract(month from date) as month,
  extract(day from date) as day,
  extract(doy from date) as day_of_year,
  extract(isoyear from date) as iso_year,
  extract(week from date) as iso_week,
  extract(isodow from date) as weekday,
  extract(isodow from date) >= 6 as is_weekend,
  holiday_name(date) is not null as is_holiday,
  holiday_name(date) as holiday
from days
