-- X API v1.1: statuses (compact and extended), pages of search (`statuses`) and premium search (`results`).
-- Input: `message`. Output: as `x_v2.sql`.
--
-- `retweet_count` was sometimes the string "100+" in 2011: null then. A status that was truncated has its
-- whole text and the rest of its tags in `extended_tweet`.

set variable x_v1_media = '{"media":[{"id_str":"VARCHAR","type":"VARCHAR","media_url_https":"VARCHAR",
  "ext_alt_text":"VARCHAR"}]}';

set variable x_v1_entities = '{"hashtags":[{"text":"VARCHAR"}],"urls":[{"url":"VARCHAR","expanded_url":"VARCHAR"}],
  "user_mentions":[{"id_str":"VARCHAR","screen_name":"VARCHAR"}]}';

set variable x_v1_user = '{"id_str":"VARCHAR","id":"VARCHAR","screen_name":"VARCHAR","name":"VARCHAR",
  "description":"VARCHAR","location":"VARCHAR","url":"VARCHAR","verified":"BOOLEAN","protected":"BOOLEAN",
  "created_at":"VARCHAR","profile_image_url_https":"VARCHAR","followers_count":"BIGINT","friends_count":"BIGINT",
  "statuses_count":"BIGINT","listed_count":"BIGINT"}';

set variable x_v1_core = '"id_str":"VARCHAR","id":"VARCHAR","created_at":"VARCHAR","text":"VARCHAR",
  "full_text":"VARCHAR","user":' || getvariable('x_v1_user') || ',"entities":' || getvariable('x_v1_entities') || ',
  "extended_entities":' || getvariable('x_v1_media') || ',
  "extended_tweet":{"full_text":"VARCHAR","entities":' || getvariable('x_v1_entities') || ',
    "extended_entities":' || getvariable('x_v1_media') || '}';

set variable x_v1_status = '{' || getvariable('x_v1_core') || ',
  "lang":"VARCHAR","source":"VARCHAR","in_reply_to_status_id_str":"VARCHAR","in_reply_to_user_id_str":"VARCHAR",
  "possibly_sensitive":"BOOLEAN","retweet_count":"BIGINT","reply_count":"BIGINT","favorite_count":"BIGINT",
  "quote_count":"BIGINT","quoted_status_id_str":"VARCHAR",
  "place":{"id":"VARCHAR","full_name":"VARCHAR","country_code":"VARCHAR"},
  "retweeted_status":{' || getvariable('x_v1_core') || '},"quoted_status":{' || getvariable('x_v1_core') || '}}';

with page as (
  select
    session, sequence, path, received_at, matched,
    from_json(payload, '{"statuses":[' || getvariable('x_v1_status') || '],"results":[' || getvariable('x_v1_status') || ']}') as j
  from message
  where kind = 'page'
),
delivered as (
  select
    session, sequence, 0 as item, path, received_at, matched,
    from_json(payload, getvariable('x_v1_status')) as post
  from message
  where kind in ('post', 'edit')
  union all by name
  select
    session, sequence, unnest(generate_series(0, len(coalesce(j.statuses, j.results)) - 1)) as item, path,
    received_at, matched, unnest(coalesce(j.statuses, j.results)) as post
  from page
),
named as (
  select
    *,
    coalesce(post.id_str, post.id) as post_id,
    coalesce(post.extended_tweet.full_text, post.full_text, post.text) as own_text,
    coalesce(post.retweeted_status, post.quoted_status) as reference,
    coalesce(post.retweeted_status.id_str, post.retweeted_status.id) as reposted_id,
    coalesce(post.quoted_status.id_str, post.quoted_status.id, post.quoted_status_id_str) as quoted_id
  from delivered
),
dated as (
  select
    *,
    -- a repost says what the original says, and its own copy is cut
    case when reposted_id is not null
      then coalesce(reference.extended_tweet.entities, reference.entities)
      else coalesce(post.extended_tweet.entities, post.entities)
    end as said,
    coalesce(post.extended_tweet.extended_entities, post.extended_entities) as shown,
    try_strptime(post.created_at, '%a %b %d %H:%M:%S %z %Y') as claimed,
    written_at(x_time_of(post_id), claimed, received_at) as created_at
  from named
  where post_id is not null and own_text is not null and post.user is not null
)
select
  'x' as network,
  post_id,
  created_at,
  claim_beside(created_at, claimed) as claimed_at,
  case
    when reposted_id is not null
      then coalesce(reference.extended_tweet.full_text, reference.full_text, reference.text, own_text)
    else own_text
  end as text,
  post.lang as language_raw,
  regexp_extract(post.source, '>([^<]*)<', 1) as client,
  case
    when reposted_id is not null then 'repost' when quoted_id is not null then 'quote'
    when post.in_reply_to_status_id_str is not null then 'reply' else 'original'
  end as type,
  null::varchar as conversation_id,
  post.in_reply_to_status_id_str as in_reply_to_post_id,
  post.in_reply_to_user_id_str as in_reply_to_author_id,
  coalesce(reposted_id, quoted_id) as referenced_post_id,
  coalesce(reference.user.id_str, reference.user.id) as referenced_author_id,
  null::varchar as edited_from,
  post.retweet_count as repost_count,
  post.reply_count,
  post.favorite_count as like_count,
  post.quote_count,
  null::bigint as bookmark_count,
  null::bigint as impression_count,
  post.possibly_sensitive,
  post.place.id as place_id,
  post.place.full_name as place_name,
  post.place.country_code,
  coalesce(post.user.id_str, post.user.id) as author_id,
  list_transform(
    list_filter([post.user, reference.user], lambda u: coalesce(u.id_str, u.id) is not null),
    lambda u: {
      'author_id': coalesce(u.id_str, u.id), 'username': u.screen_name, 'name': u.name,
      'description': u.description, 'location': u.location, 'url': u.url, 'verified': u.verified,
      'verified_type': null::varchar, 'protected': u.protected, 'image_url': u.profile_image_url_https,
      'created_at': try_strptime(u.created_at, '%a %b %d %H:%M:%S %z %Y'),
      'created_at_local': local_time(try_strptime(u.created_at, '%a %b %d %H:%M:%S %z %Y')),
      'follower_count': u.followers_count, 'following_count': u.friends_count,
      'post_count': u.statuses_count, 'listed_count': u.listed_count
    }
  ) as authors,
  list_transform(post.entities.hashtags, lambda h: h.text) as tags_of_entities,
  list_transform(post.extended_tweet.entities.hashtags, lambda h: h.text) as tags_of_long_text,
  case when post.entities is null and post.extended_tweet.entities is null
    then tags_in(own_text)
  end as tags_of_plain_text,
  list_concat(
    list_transform(reference.entities.hashtags, lambda h: h.text),
    list_transform(reference.extended_tweet.entities.hashtags, lambda h: h.text),
    case when reference.entities is null and reference.extended_tweet.entities is null
      then tags_in(coalesce(reference.full_text, reference.text))
    end
  ) as tags_of_reference,
  list_transform(said.user_mentions, lambda m: {'author_id': m.id_str, 'username': m.screen_name}) as mentions,
  list_transform(said.urls, lambda u: {
    'url': coalesce(u.expanded_url, u.url), 'domain': domain_of(coalesce(u.expanded_url, u.url))
  }) as urls,
  list_transform(shown.media, lambda m: {
    'media_key': m.id_str, 'type': m.type, 'url': m.media_url_https, 'alt_text': m.ext_alt_text
  }) as media,
  matched,
  case when path = 'archive' then created_at else received_at end as observed_at,
  received_at,
  path,
  session,
  sequence,
  item
from dated
