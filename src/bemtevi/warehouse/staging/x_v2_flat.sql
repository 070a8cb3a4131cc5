-- X API v2 as `twarc flatten` writes it: the post itself at the top, with author, place and the posts that it
-- refers to inside. Input: `message`. Output: as `x_v2.sql`.

create or replace temp view x_v2_flat_delivered as
with line as (
  select
    session, sequence, path, received_at, matched,
    from_json(payload, getvariable('x_v2_post')) as post,
    from_json(payload, '{
      "author":' || getvariable('x_v2_user') || ',
      "attachments":{"media":[' || getvariable('x_v2_media') || ']},
      "geo":{"place_id":"VARCHAR","id":"VARCHAR","full_name":"VARCHAR","country_code":"VARCHAR"},
      "__twarc":{"retrieved_at":"VARCHAR"}}') as around,
    from_json(json_extract(payload, '$.referenced_tweets'), '[' || getvariable('x_v2_included') || ']') as included,
    from_json(
      json_extract(payload, '$.referenced_tweets'), '[{"author":' || getvariable('x_v2_user') || '}]') as others
  from message
)
select
  session, sequence, 0 as item, path, received_at, matched, post,
  list_concat([around.author], list_transform(others, lambda other: other.author)) as users,
  included,
  around.attachments.media as media,
  [{
    'id': coalesce(around.geo.place_id, around.geo.id), 'full_name': around.geo.full_name,
    'country_code': around.geo.country_code
  }] as places,
  around.__twarc.retrieved_at as retrieved_at
from line;

select * from x_v2_posts('x_v2_flat_delivered')
