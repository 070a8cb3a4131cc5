-- X API v2: stream lines (`data` is one post), pages (`data` is a list). Input: `message`. Output: one row
-- for each delivered post, with the columns of `observation.sql`'s input.
--
-- Only what `data` holds was delivered; what `includes` holds enriches it. The shape of a post and what is made
-- of it are in `functions.sql`.

create or replace temp view x_v2_delivered as
with line as (
  select
    session, sequence, path, received_at, matched,
    from_json(payload, '{"data":' || getvariable('x_v2_post') || ',' || getvariable('x_v2_rest')) as j
  from message
  where kind in ('post', 'edit')
),
page as (
  select
    session, sequence, path, received_at, matched,
    from_json(payload, '{"data":[' || getvariable('x_v2_post') || '],' || getvariable('x_v2_rest')) as j
  from message
  where kind = 'page'
),
paged as (
  select
    session, sequence, unnest(generate_series(0, len(j.data) - 1)) as item, path, received_at, matched,
    unnest(j.data) as post, j.includes.users as users,
    coalesce(j.includes.tweets, j.includes.posts) as included, j.includes.media as media, j.includes.places as places,
    j.__twarc.retrieved_at as retrieved_at
  from page
)
select
  session, sequence, 0 as item, path, received_at, matched, j.data as post, j.includes.users as users,
  coalesce(j.includes.tweets, j.includes.posts) as included, j.includes.media as media, j.includes.places as places,
  j.__twarc.retrieved_at as retrieved_at
from line
union all by name
-- a page may hold users or lists beside posts; a line was looked at on arrival
select * from paged where post.id is not null and post.text is not null and post.username is null;

select * from x_v2_posts('x_v2_delivered')
