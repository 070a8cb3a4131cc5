"""Layer 1 to layer 2: staging, models, consolidation."""
