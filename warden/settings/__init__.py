"""Settings, all from the environment; docs/configuration.md lists them.

WARDEN_ENV is `production` unless it says otherwise: what is looser (local, test) has to be asked for by name.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

from django.utils.csp import CSP

from warden import env

from .database import database
from .redis import broker, cache
from .slack import *  # noqa: F403 - SLACK_…
from .spiffe import *  # noqa: F403 - SPIFFE_…

BASE_DIR = Path(__file__).resolve().parents[2]
WARDEN_ENV = env.choice("WARDEN_ENV", "production", ("production", "local", "test"))
PRODUCTION = WARDEN_ENV == "production"
WARDEN_HOME = Path(env.text("WARDEN_HOME", str(BASE_DIR / "var")))

SECRET_KEY = (
    env.text(
        "SECRET_KEY",
        hint='Make one with: python3 -c "import secrets; print(secrets.token_urlsafe(64))"',
    )
    or "missing: the checks say so, and nothing starts"
)
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")
DEBUG = env.boolean("DEBUG", default=False)

SITE_URL = env.url(
    "SITE_URL",
    None if PRODUCTION else "http://127.0.0.1:8000",
    schemes=("https",) if PRODUCTION else ("https", "http"),
    hint="The address people open, such as https://warden.example.com",
).rstrip("/")
_site = urlsplit(SITE_URL)
ALLOWED_HOSTS = [host for host in [_site.hostname or "", *env.words("ALLOWED_HOSTS")] if host]
if not PRODUCTION:
    ALLOWED_HOSTS += ["127.0.0.1", "localhost", "[::1]"]
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "audit",
    "accounts",
    "agents",
    "notifications",
    "approvals",
    "gateway",
    "warden",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "axes",
]

MIDDLEWARE = [
    "warden.middleware.RequestId",
    "django.middleware.security.SecurityMiddleware",
    "warden.middleware.StaticFiles",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "accounts.middleware.CurrentOrganization",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "warden.urls"
ASGI_APPLICATION = "warden.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.csp",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "warden.context.page",
            ],
            "builtins": ["warden.templatetags.warden_ui"],
        },
    }
]

DATABASES = {"default": database()}
DATABASE_WEB_ROLE = env.text("DATABASE_WEB_ROLE", "warden_web")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = env.url(
    "REDIS_URL",
    None,
    schemes=("redis", "rediss", "unix"),
    hint="Such as redis://127.0.0.1:6379/0; ./script/run sets it.",
)
CACHES = {"default": cache(REDIS_URL)}

# --- People ---------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = ["accounts.hashers.Argon2"]  # it limits how many at once
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "account_login"

ACCOUNT_ADAPTER = "accounts.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"  # nobody signs up by themselves: an invitation or an admin vouches for the address
ACCOUNT_CHANGE_EMAIL = True  # one address a person; a new one counts once its link was followed
ACCOUNT_EMAIL_NOTIFICATIONS = True  # a changed password, a new passkey: told by mail
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_RATE_LIMITS = {"login_failed": None}  # axes locks out, with one rule for every way in
MFA_ADAPTER = "accounts.adapters.MFAAdapter"
MFA_FORMS = {"authenticate": "accounts.lockout.CodeForm", "reauthenticate": "accounts.lockout.CodeAgainForm"}
MFA_ALLOW_UNVERIFIED_EMAIL = True  # only the address a person is changing to is ever unverified
USERSESSIONS_ADAPTER = "accounts.adapters.UserSessionsAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PRODUCTION
MFA_TOTP_ISSUER = "Warden"
SOCIALACCOUNT_ADAPTER = "accounts.adapters.SocialAccountAdapter"
SOCIALACCOUNT_ONLY = False
OIDC_SERVER_URL = env.text("OIDC_SERVER_URL", "")
SOCIALACCOUNT_PROVIDERS = (
    {
        "openid_connect": {
            "OAUTH_PKCE_ENABLED": True,
            "APPS": [
                {
                    "provider_id": "oidc",
                    "name": env.text("OIDC_NAME", "single sign-on"),
                    "client_id": env.text("OIDC_CLIENT_ID"),
                    "secret": env.text("OIDC_CLIENT_SECRET"),
                    "settings": {"server_url": OIDC_SERVER_URL},
                }
            ],
        }
    }
    if OIDC_SERVER_URL
    else {}
)
AXES_FAILURE_LIMIT = env.integer("LOCKOUT_AFTER", 8, low=3, high=100)
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_FORM_FIELD = "login"
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_LOCKOUT_TEMPLATE = "errors/locked.html"
AXES_CLIENT_IP_CALLABLE = "accounts.lockout.client_ip"
ALLAUTH_TRUSTED_PROXY_COUNT = env.integer("TRUSTED_PROXIES", 0, low=0, high=10)

# --- Browser --------------------------------------------------------------------------------------------------------
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF, CSP.NONCE],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "manifest-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "object-src": [CSP.NONE],
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 60 * 60 * env.integer("SESSION_HOURS", 12, low=1, high=24 * 30)
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "warden.errors.csrf_failure"
if PRODUCTION:
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics$"]
    SECURE_HSTS_SECONDS = 63_072_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-warden_session", "__Host-warden_csrf"
    if env.integer("TRUSTED_PROXIES", 0, low=0, high=10):
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(WARDEN_HOME / "static")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if WARDEN_ENV == "test"
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
if WARDEN_ENV == "test":
    WHITENOISE_USE_FINDERS = True
    WHITENOISE_AUTOREFRESH = True

SPIFFE_AUDIENCE = SPIFFE_AUDIENCE or SITE_URL  # noqa: F405
SPIFFE_MOCK_DIR = WARDEN_HOME / "spiffe-mock"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576

# --- Agents' door ---------------------------------------------------------------------------------------------------
GATEWAY_BODY_LIMIT = env.integer("GATEWAY_BODY_LIMIT", 262_144, low=1_024, high=16_777_216)  # bytes
GATEWAY_BODY_SECONDS = env.integer("GATEWAY_BODY_SECONDS", 20, low=1, high=600)  # for it to arrive
GATEWAY_RATE_LIMIT = env.integer("GATEWAY_RATE_LIMIT", 6_000, low=1, high=100_000_000)  # checks a minute and key
GATEWAY_MAX_WAITERS = env.integer("GATEWAY_MAX_WAITERS", 10_000, low=1, high=1_000_000)
# Operations on instances a minute and provisioner, each of which may make us send a request to a receiver.
AAP_PROVISION_RATE_LIMIT = env.integer("AAP_PROVISION_RATE_LIMIT", 60, low=1, high=1_000_000)

# --- The record -------------------------------------------------------------------------------------------------------
AUDIT_SIGNING_KEY = env.text("AUDIT_SIGNING_KEY", "")
AUDIT_SIGNING_KEY_OLD = env.text("AUDIT_SIGNING_KEY_OLD", "")
CHECKPOINT_DIR = env.text("CHECKPOINT_DIR", "")
CHECKPOINT_WEBHOOK_URL = env.text("CHECKPOINT_WEBHOOK_URL", "")
CHECKPOINT_WEBHOOK_SECRET = env.text("CHECKPOINT_WEBHOOK_SECRET", "")
TIMESTAMP_URL = env.text("TIMESTAMP_URL", "")
TIMESTAMP_CA = env.text("TIMESTAMP_CA", "")
CHECKPOINT_SECONDS = env.integer("CHECKPOINT_SECONDS", 3_600, low=10, high=604_800)
SYSLOG_ENTERPRISE_NUMBER = env.integer("SYSLOG_ENTERPRISE_NUMBER", 32_473, low=1, high=4_294_967_295)

# --- Watching ---------------------------------------------------------------------------------------------------------
METRICS_TOKEN = env.text("METRICS_TOKEN", "")
OTEL_EXPORTER_OTLP_ENDPOINT = env.url(
    "OTEL_EXPORTER_OTLP_ENDPOINT", "", schemes=("https", "http"), hint="Such as http://127.0.0.1:4318"
)
LOG_LEVEL = env.choice("LOG_LEVEL", "info", ("debug", "info", "warning", "error"))

# --- Mail -----------------------------------------------------------------------------------------------------------
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("EMAIL_FROM", f"warden@{_site.hostname or 'localhost'}")
_mail_host = env.text("EMAIL_HOST", "")
_mail_tls = env.choice("EMAIL_TLS", "starttls", ("starttls", "tls", "none"))
MAILERS = {
    "default": {
        "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "OPTIONS": {
            "host": _mail_host,
            "port": env.integer("EMAIL_PORT", 587, low=1, high=65_535),
            "username": env.text("EMAIL_USER", ""),
            "password": env.text("EMAIL_PASSWORD", ""),
            "use_tls": _mail_tls == "starttls",
            "use_ssl": _mail_tls == "tls",
            "timeout": 10,  # seconds
        },
    }
    if _mail_host
    else {  # no server configured: mail is kept as files, and the pages say so
        "BACKEND": "django.core.mail.backends.filebased.EmailBackend",
        "OPTIONS": {"file_path": str(WARDEN_HOME / "mail")},
    }
}

# --- Webhooks -------------------------------------------------------------------------------------------------------
WEBHOOK_ALLOW_PRIVATE_NETWORKS = env.networks("WEBHOOK_ALLOW_PRIVATE_NETWORKS")

# --- External OPAs ----------------------------------------------------------------------------------------------------
OPA_CREDENTIALS_DIR = env.text("OPA_CREDENTIALS_DIR", "")  # with a folder for each organization, named by its slug

# --- Celery: hints only; PostgreSQL is the truth ----------------------------------------------------------------------
CELERY_VISIBILITY_TIMEOUT = 300  # seconds; beside it, Celery wants it in both options
CELERY_BROKER_URL = broker(REDIS_URL)
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {"visibility_timeout": CELERY_VISIBILITY_TIMEOUT}
_sockets = {"socket_timeout": 5, "socket_connect_timeout": 2, "health_check_interval": 15}
_publishing = {"max_retries": 1, "interval_start": 0, "interval_max": 0}
CELERY_BROKER_TRANSPORT_OPTIONS = CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS | _sockets | _publishing
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # without end
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT, CELERY_TASK_TIME_LIMIT = 60, 90
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_DEFAULT_QUEUE = "warden"
CELERY_BEAT_SCHEDULE_FILENAME = str(WARDEN_HOME / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {
    "expire": {"task": "approvals.tasks.expire", "schedule": 5.0, "options": {"expires": 30}},
    "deliver": {"task": "notifications.tasks.sweep", "schedule": 5.0, "options": {"expires": 5}},
    "alerts": {"task": "notifications.alerts.tasks.evaluate", "schedule": 15.0, "options": {"expires": 60}},
    "reviews": {"task": "notifications.reviews.tasks.remind", "schedule": 3600.0, "options": {"expires": 600}},
    "publish": {"task": "notifications.publishing.tasks.publish", "schedule": 10.0, "options": {"expires": 30}},
    "forget": {"task": "gateway.tasks.forget", "schedule": 3600.0, "options": {"expires": 600}},
}

LOGGING_CONFIG = None  # warden.logs configures structlog and the standard library together
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
