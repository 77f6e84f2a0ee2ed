"""Slack: where its API is, and the app that the environment configures for the first organization."""

from warden import env

SLACK_API_URL = env.url(
    "SLACK_API_URL",
    "https://slack.com/api/",
    schemes=("https", "http"),
    hint="Leave it out, except for GovSlack (https://slack-gov.com/api/) or a proxy of yours.",
)
SLACK_BOT_TOKEN = env.text("SLACK_BOT_TOKEN", "")
SLACK_SIGNING_SECRET = env.text("SLACK_SIGNING_SECRET", "")
SLACK_APP_TOKEN = env.text("SLACK_APP_TOKEN", "")
SLACK_CHANNEL = env.text("SLACK_CHANNEL", "")
SLACK_CLIENT_ID = env.text("SLACK_CLIENT_ID", "")
SLACK_CLIENT_SECRET = env.text("SLACK_CLIENT_SECRET", "")
