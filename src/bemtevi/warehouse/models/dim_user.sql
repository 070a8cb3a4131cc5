/*
grain = "one author in one version of what they say of themselves (slowly changing, type 2)"
key = ["network", "author_id", "valid_from"]
partition = ["valid_month"]
scope = "since"
touched = "observed_hour"
hour = "valid_from"
inputs = ["user_observation", "since_user_observation", "existing", "existing_since"]
order = ["author_key", "valid_from"]
checks = [
  { kind = "not_null", severity = "fail", columns = ["author_key", "version_hash", "valid_month"] },
  { kind = "unique", severity = "fail", columns = ["user_key"] },
  { kind = "not_null", severity = "warn", columns = ["username"] },
]

[columns]
user_key = { type = "VARCHAR", distinct = true, description = "Surrogate key of the version: md5 of network, id and beginning, 32 hexadecimal digits." }
author_key = { type = "VARCHAR", distinct = true, description = "Surrogate key of the author: md5 of network and id, 32 hexadecimal digits." }
network = { type = "VARCHAR", description = "Network of the author." }
author_id = { type = "VARCHAR", distinct = true, description = "The network's id of the author." }
valid_month = { type = "DATE", description = "First day of the UTC month of `valid_from`; the partition." }
valid_from = { type = "TIMESTAMPTZ", description = "Start of the UTC hour in which the version was first seen; it may be older. The version ends where the author's next one begins." }
username = { type = "VARCHAR", private = true, description = "Name in addresses, without the at sign." }
name = { type = "VARCHAR", private = true, description = "Name as shown." }
description = { type = "VARCHAR", private = true, description = "What the author says of themselves." }
location = { type = "VARCHAR", private = true, description = "Where the author says to be." }
url = { type = "VARCHAR", private = true, description = "The author's link." }
image_url = { type = "VARCHAR", private = true, description = "Address of the picture." }
verified = { type = "BOOLEAN", description = "The network's mark of verification." }
verified_type = { type = "VARCHAR", description = "Its kind: blue, business, government, none." }
protected = { type = "BOOLEAN", description = "Whether posts are for followers only." }
created_at = { type = "TIMESTAMPTZ", distinct = true, description = "When the account was made, UTC." }
created_at_local = { type = "TIMESTAMP", distinct = true, description = "The same on the clock of the lake's zone." }
version_hash = { type = "VARCHAR", distinct = true, description = "md5 of all that makes a version; two neighbours differ." }

[derived]
valid_to = { type = "TIMESTAMPTZ", sql = "lead(valid_from) over (partition by author_key order by valid_from)", description = "Where the author's next version begins; null if there is none." }
is_current = { type = "BOOLEAN", sql = "lead(valid_from) over (partition by author_key order by valid_from) is null", description = "Whether it is the author's last version." }
*/

-- A version depends on the observations of its author alone, and an observation changes nothing before itself. So
-- of the authors seen in the touched hours, what begins since the first of those is made anew; what is older stays,
-- and says which version went before.
with touched as (
  select author_key, min(observed_hour) as since
  from user_observation
  group by author_key
),
prior as (
  select existing.author_key, max_by(existing.version_hash, existing.valid_from) as version_hash
  from existing
  inner join touched
    on existing.author_key = touched.author_key
    and existing.valid_from < touched.since
  group by existing.author_key
),
compared as (
  select
    later.*,
    coalesce(
      lag(later.version_hash) over (partition by later.author_key order by later.observed_hour),
      prior.version_hash
    ) as version_before
  from since_user_observation as later
  inner join touched
    on later.author_key = touched.author_key
    and later.observed_hour >= touched.since
  left join prior
    on later.author_key = prior.author_key
),
made as (
  select
    md5(concat('v1|', network, chr(31), author_id, chr(31), strftime(observed_hour, '%Y-%m-%d %H'))) as user_key,
    author_key, network, author_id,
    cast(date_trunc('month', observed_hour) as date) as valid_month,
    observed_hour as valid_from,
    username, name, description, location, url, image_url, verified, verified_type, protected, created_at,
    created_at_local, version_hash
  from compared
  where version_before is null or version_before <> version_hash
)
select * from made
union all by name
select existing_since.*
from existing_since
left join touched
  on existing_since.author_key = touched.author_key
where touched.author_key is null or existing_since.valid_from < touched.since
