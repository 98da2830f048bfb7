"""The Spark cluster of the checks comes up, answers and is gone; what is missing is said."""

import os

import psutil
import pytest

from python_checks import spark_session
from python_checks.spark_cluster import spark_cluster

needs_spark = pytest.mark.skipif(
    not spark_session.is_installed() and os.environ.get("RFM_SPARK") != "1",
    reason="Spark is not installed: make setup-spark",
)


@needs_spark
def test_a_cluster_answers_and_is_gone_afterwards():
    before = {process.pid for process in psutil.process_iter()}
    with spark_cluster() as given:
        from pyhive import hive

        connection = hive.connect(
            host=given["RFM_SPARK_HOST"], port=int(given["RFM_SPARK_PORT"]), username="dbt"
        )
        cursor = connection.cursor()
        cursor.execute("select sum(id) from range(0, 1000)")
        assert cursor.fetchall()[0][0] == 499_500
        cursor.execute("set spark.master")
        assert cursor.fetchall()[0][1].startswith("spark://")
        connection.close()
    left = [
        process.name()
        for process in psutil.process_iter()
        if process.pid not in before and process.name() == "java"
    ]
    assert left == []


@pytest.mark.parametrize("given", [{"JAVA_HOME": "/nowhere"}, {}])
def test_without_java_the_message_says_what_to_do(given, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(spark_session.SparkIsMissing, match="Java 17 or later.*JAVA_HOME"):
        spark_session.require_java(given)


def test_without_pyspark_the_message_names_the_command(monkeypatch):
    monkeypatch.setattr(spark_session, "is_installed", lambda: False)
    with pytest.raises(spark_session.SparkIsMissing, match="make setup-spark"), spark_cluster():
        pass
