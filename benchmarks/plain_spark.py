"""The case's own way, as a PySpark job: read layer 1, parse, cast, move to local time, write fact and users.

    python -m benchmarks.plain_spark LAYER1 LAYER2

Owns what a careful person writes by hand: a schema that is told, no second pass, no duplicates, partitioned
Parquet. It makes two tables where ours makes all, knows one shape of one network, and hides nothing.
"""

from __future__ import annotations

import os
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

ZONE = "America/Sao_Paulo"
MESSAGE = """
    data struct<
        id: string, text: string, created_at: string, author_id: string, lang: string, source: string,
        conversation_id: string, in_reply_to_user_id: string, possibly_sensitive: string,
        public_metrics: struct<
            retweet_count: string, reply_count: string, like_count: string, quote_count: string>,
        entities: struct<hashtags: array<struct<tag: string>>>,
        referenced_tweets: array<struct<type: string, id: string>>>,
    includes struct<users: array<struct<
        id: string, name: string, username: string, description: string, location: string,
        verified: string, created_at: string,
        public_metrics: struct<
            followers_count: string, following_count: string, tweet_count: string, listed_count: string>>>>
"""
MESSAGE = MESSAGE.replace("data struct", "data: struct").replace("includes struct", "includes: struct")


def main(layer_1: str, layer_2: str) -> None:
    """Make the two tables of the case."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = (
        SparkSession.builder.master("local[*]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "2g")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "8")
        .getOrCreate()
    )
    message = (
        spark.read.parquet(layer_1)
        .where("kind = 'post'")
        .select(f.from_json("payload", f"struct<{MESSAGE}>").alias("m"))
        .select("m.*")
    )
    at = f.to_timestamp("data.created_at")
    local = f.from_utc_timestamp(at, ZONE)
    count = "data.public_metrics"
    fact = message.select(
        f.col("data.id").alias("id"),
        f.col("data.text").alias("text"),
        local.alias("created_at"),
        f.col("data.author_id").alias("author_id"),
        f.col("data.lang").alias("lang"),
        f.col("data.source").alias("source"),
        f.col("data.conversation_id").alias("conversation_id"),
        f.col("data.in_reply_to_user_id").alias("in_reply_to_user_id"),
        f.col("data.possibly_sensitive").cast("boolean").alias("possibly_sensitive"),
        *(
            f.col(f"{count}.{name}_count").cast("int").alias(name)
            for name in ("retweet", "reply", "like", "quote")
        ),
        f.transform("data.entities.hashtags", lambda tag: tag["tag"]).alias("hashtags"),
        f.col("data.referenced_tweets").alias("referenced"),
        f.to_date(local).alias("date"),
        f.hour(local).alias("hour"),
    ).dropDuplicates(["id"])
    fact.write.mode("overwrite").partitionBy("date", "hour").parquet(f"{layer_2}/fact_tweet")
    metrics = "user.public_metrics"
    user = (
        message.select(f.explode("includes.users").alias("user"), at.alias("seen_at"))
        .select(
            *(
                f.col(f"user.{name}").alias(name)
                for name in ("id", "name", "username", "description", "location")
            ),
            f.col("user.verified").cast("boolean").alias("verified"),
            f.from_utc_timestamp(f.to_timestamp("user.created_at"), ZONE).alias("created_at"),
            *(
                f.col(f"{metrics}.{name}_count").cast("int").alias(name)
                for name in ("followers", "following", "tweet", "listed")
            ),
            f.to_date(f.from_utc_timestamp("seen_at", ZONE)).alias("date"),
        )
        .dropDuplicates(["id", "date"])
    )
    user.write.mode("overwrite").partitionBy("date").parquet(f"{layer_2}/dim_user")
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
