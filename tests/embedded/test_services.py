import os

import psycopg


def test_x(tmp_path):
    with psycopg.connect(os.environ["DATABASE_URL"]) as c:
        assert c.execute("select current_user").fetchone() == ("warden",)
