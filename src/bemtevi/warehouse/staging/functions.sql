-- Functions that several staging files use.

-- A text that the network cut ends in an ellipsis; the word before it is no whole word, so no hashtag.
create or replace temp macro whole_words(t) as
  case when ends_with(t, '…') then regexp_replace(t, '\S*…$', '') else t end;
