-- The names of the case, for people who come from it. Times are on the clock of the lake's zone.

create or replace view fact_tweet as
select
  post_id as tweet_id,
  created_at_local as created_at,  -- When it was written, on the clock of the lake's zone.
  text,
  list_transform(hashtags, lambda tag: tag.spelling) as hashtags,  -- Its hashtags as they were written.
  repost_count as retweet_count,
  possibly_sensitive,
  language_raw as lang,  -- The network's own code of the language.
  author_id as user_id
from fact_post
where network = 'x';

create or replace view dim_user_current as
select
  author_id as user_id,
  username as user_name,
  description as user_description,
  verified as user_verification,
  follower_count as user_followers_count,
  following_count as user_friends_count,
  created_at_local as user_created_at,  -- When the account was made, on the clock of the lake's zone.
  location as user_location
from user_observation
where network = 'x'
qualify row_number() over (partition by author_key order by observed_hour desc) = 1;

-- Posts with their authors.

create or replace view fact_post_author as
select
  fact_post.*,
  dim_user.user_key as user_key,  -- Key of the version of the author that was known when the post was observed.
  dim_user.username as username,  -- Name in addresses, as of then.
  dim_user.name as name,  -- Name as shown, as of then.
  dim_user.description as description,  -- What the author said of themselves, as of then.
  dim_user.location as location,  -- Where the author said to be, as of then.
  dim_user.verified as verified  -- The network's mark of verification, as of then.
from fact_post
asof left join dim_user
  on fact_post.author_key = dim_user.author_key
  and fact_post.observed_at >= dim_user.valid_from;

-- The posts of a hashtag by hour, without the other columns of agg_hashtag_hour, which take long to count anew for
-- the minutes not yet consolidated.
create or replace view hashtag_hour_posts as
select
  network,
  hashtag,
  created_hour,
  created_date,
  posts
from agg_hashtag_hour;
