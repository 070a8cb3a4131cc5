"""bemtevi: a hashtag warehouse. It listens to hashtags, keeps every post, and answers questions."""

__version__ = "0.1.0"
