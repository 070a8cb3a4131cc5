-- The common post: what every staging file's rows become. Input: `staged_rows` (all dialects together) and the
-- variable `rule_hashtags` (the tags in each rule of ours). Output: one row for each time a post was delivered.
--
-- All that an engine could mean differently happens here: folding, zones, language codes, hashes.
-- Nothing is filtered here: a condition on what comes out would be pushed down, and the JSON parsed once more to
-- decide it. A row without `post_id` or `created_at` is a message that gave no post; the engine sets it aside.

with found as (
select
  * exclude (matched),
  list_position(list_transform(authors, lambda a: a.author_id), author_id) as writer,
  list_concat(
    tags_of_entities, tags_of_long_text, tags_of_plain_text, tags_of_reference,
    flatten(list_transform(matched, lambda tag: getvariable('rule_hashtags')[tag]))
  ) as spellings,
  coalesce(len(tags_of_entities), 0) as entity_ends,
  entity_ends + coalesce(len(tags_of_long_text), 0) as long_text_ends,
  long_text_ends + coalesce(len(tags_of_plain_text), 0) as plain_text_ends,
  plain_text_ends + coalesce(len(tags_of_reference), 0) as reference_ends,
  local_time(created_at) as created_at_local
from staged_rows
),
staged as (
select *, list_transform(spellings, lambda spelling: folded(spelling)) as keys
from found
)
select
  network,
  post_id,
  created_at,
  claimed_at,
  created_at_local,
  created_at_local::date as created_date,
  make_timestamptz(epoch_us(created_at) - epoch_us(created_at) % 3600000000) as created_hour,
  ((epoch_us(created_at_local) - epoch_us(created_at)) // 60000000)::integer as utc_offset,
  case when contains(text, '&')
    then replace(replace(replace(text, '&lt;', '<'), '&gt;', '>'), '&amp;', '&') else text
  end as text,
  language_raw,
  case language_raw
    when 'iw' then 'he' when 'in' then 'id' when 'ji' then 'yi' when 'zh-CN' then 'zh-Hans' when 'zh-TW' then 'zh-Hant'
    when 'und' then null when 'qme' then null when 'qst' then null when 'qht' then null when 'qam' then null
    when 'qct' then null when 'art' then null when 'zxx' then null
    else language_raw
  end as language,
  client,
  type,
  conversation_id,
  in_reply_to_post_id,
  in_reply_to_author_id,
  referenced_post_id,
  referenced_author_id,
  edited_from,
  repost_count,
  reply_count,
  like_count,
  quote_count,
  bookmark_count,
  impression_count,
  possibly_sensitive,
  place_id,
  place_name,
  country_code,
  author_id,
  case when author_id is not null then md5('v1|' || network || chr(31) || author_id) end as author_key,
  list_transform(authors, lambda a: a.follower_count)[writer] as author_follower_count,
  list_transform(authors, lambda a: a.following_count)[writer] as author_following_count,
  list_transform(authors, lambda a: a.post_count)[writer] as author_post_count,
  authors,
  list_filter(
    list_transform(spellings, lambda spelling, position: {
      'hashtag': keys[position],
      'spelling': ltrim(spelling, '#＃'),
      'matched_by': case
        when position <= entity_ends then 'entity' when position <= long_text_ends then 'long text'
        when position <= plain_text_ends then 'plain text' when position <= reference_ends then 'referenced post'
        else 'rule only'
      end
    }),
    lambda tag, position: tag.hashtag <> ''
      and list_position(keys, tag.hashtag) = position
  ) as hashtags,
  case when mentions <> [] then mentions end as mentions,
  case when urls <> [] then urls end as urls,
  case when media <> [] then media end as media,
  observed_at,
  make_timestamptz(epoch_us(observed_at) - epoch_us(observed_at) % 3600000000) as observed_hour,
  local_time(make_timestamptz(epoch_us(observed_at) - epoch_us(observed_at) % 3600000000))::date as observed_date,
  received_at,
  path,
  session,
  sequence,
  item
from staged
