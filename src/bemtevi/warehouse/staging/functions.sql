-- Functions that several staging files use.

-- A text that the network cut ends in an ellipsis; the word before it is no whole word, so no hashtag.
create or replace temp macro whole_words(t) as
  case when ends_with(t, '…') then regexp_replace(t, '\S*…$', '') else t end;

-- The tags of a text that came without entities; null without a sign, so that few texts cross into Python.
create or replace temp macro tags_in(t) as
  case when contains(t, '#') or contains(t, '＃') then hashtags_in_text(whole_words(t)) end;

-- An instant on the clock of the lake's zone.
create or replace temp macro local_time(instant) as instant at time zone getvariable('timezone');

-- When a post was written. The server's time rules where there is one (an id that carries it, the clock of who took
-- the post), so that every delivery of a post says the same. Else what was claimed, if that can be: after the first
-- network began, and not after we received it, but for clocks that are wrong by a day. Else null: set aside.
create or replace temp macro written_at(server_at, claimed, received) as
  case
    when server_at is not null then server_at
    when claimed >= timestamptz '2006-03-21 00:00:00+00' and claimed <= received + interval 1 day then claimed
  end;

-- What was claimed, where it is more than a minute from the time that rules; nothing that no calendar has.
create or replace temp macro claim_beside(written, claimed) as
  case
    when claimed between timestamptz '0001-01-02 00:00:00+00' and timestamptz '9999-12-30 00:00:00+00'
      and claimed not between written - interval 1 minute and written + interval 1 minute
    then claimed
  end;

-- The second in which X made an id, which is what it writes as `created_at`; null for ids before November 2010.
create or replace temp macro x_time_of(id) as
  case when try_cast(id as bigint) >= 29700859247
    then make_timestamp_ms(((try_cast(id as bigint) >> 22) + 1288834974657) // 1000 * 1000)::timestamptz
  end;

-- `hashtag_fold` crosses into Python, one thread at a time; most tags need not: ASCII (as many bytes as characters),
-- and words of whole letters (Latin-1, Cyrillic, Hebrew, Arabic, Devanagari, kana, Han, Hangul), where folding is
-- `lower`: tests/unit/test_staging.py proves it letter by letter.
create or replace temp macro folded(spelling) as
  case
    when strlen(spelling) = length(spelling) then lower(ltrim(spelling, '#'))
    when regexp_full_match(spelling, '[0-9A-Z_a-zÀ-ÖØ-Þà-öø-ÿА-яёא-תء-غف-يँ-नप-रलळव-हऽ-्ぁ-ゖァ-ヺー一-鿋가-힣]+') then lower(spelling)
    else hashtag_fold(spelling)
  end;

-- The JSON of X's v2, as far as we read it. X renamed fields in its description of August 2026 (2.167); both
-- spellings are read. A field of another type than told is null, never an error.
set variable x_v2_entities = '{"hashtags":[{"tag":"VARCHAR"}],
  "urls":[{"url":"VARCHAR","expanded_url":"VARCHAR","unwound_url":"VARCHAR"}],
  "mentions":[{"id":"VARCHAR","username":"VARCHAR"}]}';

set variable x_v2_media = '{"media_key":"VARCHAR","type":"VARCHAR","url":"VARCHAR","preview_image_url":"VARCHAR",
  "alt_text":"VARCHAR"}';

set variable x_v2_note = '{"text":"VARCHAR","entities":' || getvariable('x_v2_entities') || '}';

set variable x_v2_post = '{
  "id":"VARCHAR","text":"VARCHAR","created_at":"VARCHAR","author_id":"VARCHAR","username":"VARCHAR",
  "lang":"VARCHAR","source":"VARCHAR","conversation_id":"VARCHAR","in_reply_to_user_id":"VARCHAR",
  "possibly_sensitive":"BOOLEAN",
  "public_metrics":{"retweet_count":"BIGINT","repost_count":"BIGINT","reply_count":"BIGINT","like_count":"BIGINT",
    "quote_count":"BIGINT","bookmark_count":"BIGINT","impression_count":"BIGINT"},
  "entities":' || getvariable('x_v2_entities') || ',
  "note_tweet":' || getvariable('x_v2_note') || ',"note_post":' || getvariable('x_v2_note') || ',
  "referenced_tweets":[{"type":"VARCHAR","id":"VARCHAR"}],"referenced_posts":[{"type":"VARCHAR","id":"VARCHAR"}],
  "edit_history_tweet_ids":["VARCHAR"],"edit_history_post_ids":["VARCHAR"],
  "attachments":{"media_keys":["VARCHAR"]},
  "geo":{"place_id":"VARCHAR"}}';

set variable x_v2_included = '{"id":"VARCHAR","text":"VARCHAR","author_id":"VARCHAR",
  "entities":' || getvariable('x_v2_entities') || ',
  "note_tweet":' || getvariable('x_v2_note') || ',"note_post":' || getvariable('x_v2_note') || '}';

set variable x_v2_user = '{"id":"VARCHAR","username":"VARCHAR","name":"VARCHAR","description":"VARCHAR","location":"VARCHAR",
      "url":"VARCHAR","verified":"BOOLEAN","verified_type":"VARCHAR","protected":"BOOLEAN","created_at":"VARCHAR",
      "profile_image_url":"VARCHAR",
      "public_metrics":{"followers_count":"BIGINT","following_count":"BIGINT","tweet_count":"BIGINT",
        "post_count":"BIGINT","listed_count":"BIGINT"}}';

set variable x_v2_rest = '
  "includes":{
    "users":[' || getvariable('x_v2_user') || '],
    "tweets":[' || getvariable('x_v2_included') || '],"posts":[' || getvariable('x_v2_included') || '],
    "media":[' || getvariable('x_v2_media') || '],
    "places":[{"id":"VARCHAR","full_name":"VARCHAR","country_code":"VARCHAR"}]},
  "__twarc":{"retrieved_at":"VARCHAR"}}';

-- The host of an address, without www. The first pattern is many times as fast and right where no @ can hide a host.
create or replace temp macro domain_of(address) as
  nullif(
    case when contains(address, '@')
      then lower(regexp_extract(address, '^[A-Za-z]+://(?:[^/?#@]*@)?(?:www\.)?([^/:?#]+)', 1))
      else lower(regexp_replace(regexp_extract(address, '^[A-Za-z]+://([^/:?#]+)', 1), '^www\.(.)', '\1'))
    end,
    ''
  );

-- Posts of X's v2 from a relation with `post`, `users`, `included`, `media`, `places` and the envelope of each: where the
-- three stand in a message differs, what is made of them does not.
create or replace temp macro x_v2_posts(delivered) as table
with referring as (
  select
    *,
    coalesce(post.referenced_tweets, post.referenced_posts) as refs,
    coalesce(post.note_tweet, post.note_post) as note,
    coalesce(post.edit_history_tweet_ids, post.edit_history_post_ids) as history
  from query_table(delivered)
),
referred as (
  select
    *,
    list_filter(refs, lambda r: r.type = 'retweeted')[1].id as reposted_id,
    list_filter(refs, lambda r: r.type = 'quoted')[1].id as quoted_id,
    list_filter(refs, lambda r: r.type = 'replied_to')[1].id as replied_id
  from referring
),
joined as (
  select
    *,
    -- null is found in a list that holds null
    included[case when coalesce(reposted_id, quoted_id) is not null
      then list_position(list_transform(included, lambda p: p.id), coalesce(reposted_id, quoted_id)) end] as reference
  from referred
),
noted as (
  select *, coalesce(reference.note_tweet, reference.note_post) as reference_note
  from joined
),
-- a repost says what the original says, and its own copy is cut; field by field, as a whole structure costs more
told as (
  select
    *,
    try_cast(post.created_at as timestamptz) as claimed,
    case when reposted_id is not null and reference is not null
      then case when reference_note.entities is not null
        then reference_note.entities.mentions else reference.entities.mentions end
      else case when note.entities is not null then note.entities.mentions else post.entities.mentions end
    end as said_mentions,
    case when reposted_id is not null and reference is not null
      then case when reference_note.entities is not null
        then reference_note.entities.urls else reference.entities.urls end
      else case when note.entities is not null then note.entities.urls else post.entities.urls end
    end as said_urls
  from noted
)
select
  'x' as network,
  post.id as post_id,
  written_at(x_time_of(post.id), claimed, received_at) as created_at,
  claim_beside(created_at, claimed) as claimed_at,
  case
    when reposted_id is not null then coalesce(
      reference_note.text, reference.text, post.text)
    else coalesce(note.text, post.text)
  end as text,
  post.lang as language_raw,
  post.source as client,
  case
    when reposted_id is not null then 'repost' when quoted_id is not null then 'quote'
    when replied_id is not null then 'reply' else 'original'
  end as type,
  post.conversation_id,
  replied_id as in_reply_to_post_id,
  post.in_reply_to_user_id as in_reply_to_author_id,
  coalesce(reposted_id, quoted_id) as referenced_post_id,
  reference.author_id as referenced_author_id,
  history[list_position(history, post.id) - 1] as edited_from,
  coalesce(post.public_metrics.repost_count, post.public_metrics.retweet_count) as repost_count,
  post.public_metrics.reply_count,
  post.public_metrics.like_count,
  post.public_metrics.quote_count,
  post.public_metrics.bookmark_count,
  post.public_metrics.impression_count,
  post.possibly_sensitive,
  post.geo.place_id,
  list_filter(places, lambda p: p.id = post.geo.place_id)[1].full_name as place_name,
  list_filter(places, lambda p: p.id = post.geo.place_id)[1].country_code as country_code,
  post.author_id,
  list_transform(
    -- a message also brings people who are only mentioned: they wrote nothing that we keep
    list_filter(users, lambda u: u.id = post.author_id or u.id = reference.author_id),
    lambda u: {
      'author_id': u.id, 'username': u.username, 'name': u.name, 'description': u.description,
      'location': u.location, 'url': u.url, 'verified': u.verified, 'verified_type': u.verified_type,
      'protected': u.protected, 'image_url': u.profile_image_url,
      'created_at': try_cast(u.created_at as timestamptz),
      'created_at_local': local_time(try_cast(u.created_at as timestamptz)),
      'follower_count': u.public_metrics.followers_count,
      'following_count': u.public_metrics.following_count,
      'post_count': coalesce(u.public_metrics.post_count, u.public_metrics.tweet_count),
      'listed_count': u.public_metrics.listed_count
    }
  ) as authors,
  list_transform(post.entities.hashtags, lambda h: h.tag) as tags_of_entities,
  list_transform(note.entities.hashtags, lambda h: h.tag) as tags_of_long_text,
  case when post.entities.hashtags is null and post.entities.urls is null and post.entities.mentions is null
    then tags_in(post.text)
  end as tags_of_plain_text,
  list_concat(
    list_transform(reference.entities.hashtags, lambda h: h.tag),
    list_transform(reference_note.entities.hashtags, lambda h: h.tag),
    case when reference.text is not null and reference.entities.hashtags is null
        and reference.entities.urls is null and reference.entities.mentions is null
      then tags_in(reference.text)
    end
  ) as tags_of_reference,
  list_transform(said_mentions, lambda m: {'author_id': m.id, 'username': m.username}) as mentions,
  list_transform(said_urls, lambda u: {
    'url': coalesce(u.unwound_url, u.expanded_url, u.url), 'domain': domain_of(coalesce(u.unwound_url, u.expanded_url, u.url))
  }) as urls,
  case when post.attachments.media_keys is not null then list_transform(
    post.attachments.media_keys,
    lambda k: {
      'media_key': k,
      'type': list_filter(media, lambda m: m.media_key = k)[1].type,
      'url': coalesce(
        list_filter(media, lambda m: m.media_key = k)[1].url, list_filter(media, lambda m: m.media_key = k)[1].preview_image_url),
      'alt_text': list_filter(media, lambda m: m.media_key = k)[1].alt_text
    }
  ) end as media,
  matched,
  case when path = 'archive'
    then coalesce(try_cast(retrieved_at as timestamptz), make_timestamp_ms((try_cast(post.id as bigint) >> 22) + 1288834974657)::timestamptz)
    else received_at
  end as observed_at,
  received_at,
  path,
  session,
  sequence,
  item
from told;
