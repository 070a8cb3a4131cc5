/*
grain = "one post that was delivered to us"
key = ["network", "post_id"]
partition = ["created_date"]
scope = "hours"
inputs = ["observation", "existing"]
checks = [
  { kind = "not_null", severity = "fail", columns = ["created_at", "created_date", "created_hour", "utc_offset", "observed_at", "first_received_at", "last_received_at", "observations"] },
  { kind = "not_null", severity = "warn", columns = ["text"] },
  { kind = "not_null", severity = "warn", columns = ["author_key"] },
  { kind = "accepted_values", severity = "fail", columns = ["type"], values = ["original", "reply", "quote", "repost"] },
  { kind = "volume", severity = "warn", lowest = 0.2, highest = 5.0, least = 50 },
  { kind = "freshness", severity = "warn", columns = ["last_received_at"], hours = 24.0 },
  { kind = "references", severity = "warn", columns = ["created_date"], table = "dim_date", key = ["date"] },
  { kind = "references", severity = "warn", columns = ["language"], table = "dim_language" },
  { kind = "references", severity = "warn", columns = ["network"], table = "dim_network" },
]

[columns]
network = { type = "VARCHAR", description = "Network of the post: x." }
post_id = { type = "VARCHAR", distinct = true, description = "The network's global id of the post." }
created_at = { type = "TIMESTAMPTZ", distinct = true, description = "When it was written, UTC: the second in its id, where ids carry the time; else what the message says, if that can be." }
claimed_at = { type = "TIMESTAMPTZ", description = "When the message claims it was written, if that is more than a minute from `created_at`; null otherwise." }
created_at_local = { type = "TIMESTAMP", distinct = true, description = "The same on the clock of the lake's zone." }
created_date = { type = "DATE", description = "Date on that clock; the partition." }
created_hour = { type = "TIMESTAMPTZ", description = "Start of the UTC hour; what is replaced together." }
utc_offset = { type = "INTEGER", description = "Local time minus UTC, in minutes." }
text = { type = "VARCHAR", private = true, description = "Whole text: long form where there is one, the original's for a repost; HTML entities decoded." }
language = { type = "VARCHAR", description = "Language as BCP-47; null where the network could not tell." }
language_raw = { type = "VARCHAR", description = "The network's own code." }
client = { type = "VARCHAR", description = "Application it was written with, as the network names it." }
type = { type = "VARCHAR", description = "original, reply, quote or repost; a reply that quotes is a quote." }
conversation_id = { type = "VARCHAR", distinct = true, description = "Id of the post that began the conversation." }
in_reply_to_post_id = { type = "VARCHAR", description = "Id of the post it replies to." }
in_reply_to_author_id = { type = "VARCHAR", description = "Id of that post's author." }
referenced_post_id = { type = "VARCHAR", description = "Id of the post it reposts or quotes." }
referenced_author_id = { type = "VARCHAR", description = "Id of that post's author, where it was delivered along." }
edited_from = { type = "VARCHAR", description = "Id of the version that this edit replaces." }
repost_count = { type = "BIGINT", description = "Reposts, as of `observed_at`." }
reply_count = { type = "BIGINT", description = "Replies, as of `observed_at`." }
like_count = { type = "BIGINT", description = "Likes, as of `observed_at`." }
quote_count = { type = "BIGINT", description = "Quotes, as of `observed_at`." }
bookmark_count = { type = "BIGINT", description = "Bookmarks, as of `observed_at`." }
impression_count = { type = "BIGINT", description = "Views by the network's own count, as of `observed_at`." }
possibly_sensitive = { type = "BOOLEAN", description = "The network's mark of links or media that may offend." }
place_id = { type = "VARCHAR", description = "Id of the place that the author attached." }
place_name = { type = "VARCHAR", private = true, description = "Name of that place." }
country_code = { type = "VARCHAR", description = "Its country, ISO 3166." }
author_id = { type = "VARCHAR", description = "The network's id of the author." }
author_key = { type = "VARCHAR", distinct = true, description = "Surrogate key of the author: md5 of network and id, 32 hexadecimal digits." }
author_follower_count = { type = "BIGINT", description = "The author's followers, as delivered with the post." }
author_following_count = { type = "BIGINT", description = "Whom the author follows, as delivered with the post." }
author_post_count = { type = "BIGINT", description = "The author's posts, as delivered with the post." }
hashtags = { type = "STRUCT(hashtag VARCHAR, spelling VARCHAR, matched_by VARCHAR)[]", private = true, description = "Its hashtags in order, each once; see bridge_post_hashtag." }
mentions = { type = "STRUCT(author_id VARCHAR, username VARCHAR)[]", private = true, description = "The authors that it mentions, as written; null if none; see bridge_post_mention." }
urls = { type = "STRUCT(url VARCHAR, domain VARCHAR)[]", private = true, description = "The addresses that it links to, unshortened where the network says; null if none; see bridge_post_url." }
media = { type = "STRUCT(media_key VARCHAR, type VARCHAR, url VARCHAR, alt_text VARCHAR)[]", private = true, description = "Its pictures and videos; null if none; see bridge_post_media." }
observed_at = { type = "TIMESTAMPTZ", distinct = true, description = "Time of the observation that the row shows: of receipt for a live post, of capture or writing for one from a file." }
first_received_at = { type = "TIMESTAMPTZ", distinct = true, description = "When it first came." }
last_received_at = { type = "TIMESTAMPTZ", distinct = true, description = "When it last came." }
observations = { type = "BIGINT", description = "How often it came." }
acquisition_path = { type = "VARCHAR", description = "How it first came: stream, search, archive." }
session = { type = "VARCHAR", description = "Session in `raw` of the message that the row shows." }
sequence = { type = "BIGINT", distinct = true, description = "Its position in the session." }
item = { type = "INTEGER", description = "Its position in the message, if that is a page." }
*/

-- Latest observation wins, first sighting is kept, observations are counted. The order is total, so that any
-- order of arrival gives the same row. Most posts come once: only those that repeat are compared, and the wide rows are
-- read once, beside a narrow list of the winners.
with candidate as (
  select
    network, post_id, created_at, claimed_at, created_at_local, created_date, created_hour, utc_offset, text, language,
    language_raw, client, type, conversation_id, in_reply_to_post_id, in_reply_to_author_id, referenced_post_id,
    referenced_author_id, edited_from, repost_count, reply_count, like_count, quote_count, bookmark_count,
    impression_count, possibly_sensitive, place_id, place_name, country_code, author_id, author_key,
    author_follower_count, author_following_count, author_post_count, hashtags, mentions, urls, media,
    observed_at,
    received_at as first_received_at, received_at as last_received_at, 1 as observations,
    path as acquisition_path, session, sequence, item
  from observation
  where not is_deleted
  union all by name
  select * from existing
),
repeated as (
  select network, post_id from candidate group by network, post_id having count(*) > 1
),
latest as (
  select
    candidate.network,
    candidate.post_id,
    max(struct_pack(
      observed_at := observed_at, session := session, sequence := sequence, item := item
    )) as winner,
    min(struct_pack(received_at := first_received_at, path := acquisition_path)) as first_seen,
    max(last_received_at) as last_received_at,
    sum(observations) as observations
  from candidate
  inner join repeated on candidate.network = repeated.network and candidate.post_id = repeated.post_id
  group by candidate.network, candidate.post_id
)
select
  candidate.* exclude (first_received_at, last_received_at, observations, acquisition_path),
  coalesce(latest.first_seen.received_at, candidate.first_received_at) as first_received_at,
  coalesce(latest.last_received_at, candidate.last_received_at) as last_received_at,
  coalesce(latest.observations, candidate.observations) as observations,
  coalesce(latest.first_seen.path, candidate.acquisition_path) as acquisition_path
from candidate
left join latest on candidate.network = latest.network and candidate.post_id = latest.post_id
where latest.post_id is null
  or (
    candidate.session = latest.winner.session
    and candidate.sequence = latest.winner.sequence
    and candidate.item = latest.winner.item
  )
