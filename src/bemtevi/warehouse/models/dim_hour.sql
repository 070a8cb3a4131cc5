/*
grain = "one hour of the day"
key = ["hour"]
scope = "whole"
inputs = []
order = ["hour"]

[columns]
hour = { type = "INTEGER", description = "0 to 23; joins to extract(hour from created_at_local). Where a clock is put back, an hour comes twice: created_hour tells them apart." }
label = { type = "VARCHAR", description = "First and last minute, as 09:00-09:59." }
hour_12 = { type = "INTEGER", description = "The same on a clock of twelve, 1 to 12." }
half = { type = "VARCHAR", description = "am or pm." }
part_of_day = { type = "VARCHAR", description = "night (0 to 5), morning (6 to 11), afternoon (12 to 17) or evening (18 to 23)." }
*/

select
  hour,
  concat(lpad(cast(hour as varchar), 2, '0'), ':00-', lpad(cast(hour as varchar), 2, '0'), ':59') as label,
  case when hour % 12 = 0 then 12 else hour % 12 end as hour_12,
  case when hour < 12 then 'am' else 'pm' end as half,
  case when hour < 6 then 'night' when hour < 12 then 'morning' when hour < 18 then 'afternoon' else 'evening' end
    as part_of_day
from (select unnest(generate_series(0, 23)) as hour) as hours
