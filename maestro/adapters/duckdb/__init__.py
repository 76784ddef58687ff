"""The warehouse on DuckDB: stretches as Parquet files, views over them."""
