"""Tables on disk or in an object store: what they are, where they live, how they are written."""
