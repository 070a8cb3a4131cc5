-- The common post: what every staging file's rows become. Input: `staged_rows` (all dialects together) and the
-- variable `rule_hashtags` (the tags in each rule of ours). Output: one row for each time a post was delivered.
--
-- All that an engine could mean differently happens here: folding, zones, language codes, hashes.
-- Two steps, so that folding is done once: in one step the planner writes it into every place that uses it.

create or replace temp table staged as
select
  * exclude (found, matched, authors),
  list_transform(
    authors,
    lambda a: struct_insert(a, created_at_local := a.created_at at time zone getvariable('timezone'))
  ) as authors,
  authors[list_position(list_transform(authors, lambda a: a.author_id), author_id)] as author,
  list_transform(
    list_concat(
      found,
      list_transform(
        flatten(list_transform(matched, lambda tag: getvariable('rule_hashtags')[tag])),
        lambda spelling: {'spelling': spelling, 'matched_by': 'rule only'}
      )
    ),
    lambda f: {
      'hashtag': hashtag_fold(f.spelling), 'spelling': ltrim(f.spelling, '#＃'), 'matched_by': f.matched_by
    }
  ) as tags,
  created_at at time zone getvariable('timezone') as created_at_local
from staged_rows
where created_at is not null;

select
  network,
  post_id,
  created_at,
  created_at_local,
  created_at_local::date as created_date,
  date_trunc('hour', created_at) as created_hour,
  (date_diff('minute', (created_at at time zone 'UTC'), created_at_local))::integer as utc_offset,
  replace(replace(replace(text, '&lt;', '<'), '&gt;', '>'), '&amp;', '&') as text,
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
  author.follower_count as author_follower_count,
  author.following_count as author_following_count,
  author.post_count as author_post_count,
  authors,
  list_filter(
    tags,
    lambda tag, position: list_position(list_transform(tags, lambda other: other.hashtag), tag.hashtag) = position
      and tag.hashtag <> ''
  ) as hashtags,
  observed_at,
  md5(concat_ws(
    chr(31), repost_count, reply_count, like_count, quote_count, bookmark_count, impression_count, text, author_id
  )) as observation_hash,
  received_at,
  path,
  session,
  sequence,
  item
from staged
