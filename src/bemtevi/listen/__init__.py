"""Posts in: from networks and from files, through the journal into layer 1."""
