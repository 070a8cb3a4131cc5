"""Spark: the engine of a cluster. Imported only where it is asked for, since PySpark is an extra."""
