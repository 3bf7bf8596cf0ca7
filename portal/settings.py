"""Django's settings. What a person may configure is read and judged in `portal.env`; the rest is decided here."""

from datetime import timedelta
from typing import Any

from csp.constants import NONE, SELF

from portal import env, logs
from portal.databases import connection_settings

BASE_DIR = env.BASE_DIR
PORTAL_CONFIG = env.load()

DEBUG = PORTAL_CONFIG.debug
SECRET_KEY = PORTAL_CONFIG.secret_key
ALLOWED_HOSTS = PORTAL_CONFIG.allowed_hosts
CSRF_TRUSTED_ORIGINS = PORTAL_CONFIG.trusted_origins

INSTALLED_APPS = [
    "portal",
    "vms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.forms",
    "csp",
    "django_htmx",
    "django_structlog",
    "template_partials",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "portal.static.StaticFilesMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "vms.web.language.PreferredLanguageMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "portal.urls"
ASGI_APPLICATION = "portal.asgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Form fields are drawn by templates/django/forms/field.html.
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

# Database ------------------------------------------------------------------------------------------------------------

DATABASES = {"default": connection_settings(PORTAL_CONFIG.database)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Django's own, with roles on hosts, tags and single VMs.
AUTHENTICATION_BACKENDS = ["vms.roles.RoleBackend"]

# Redis and Celery ----------------------------------------------------------------------------------------------------

REDIS_URL = PORTAL_CONFIG.redis_url

# Changes are told to open pages.
LIVE_STREAM = True

CELERY_BROKER_URL = PORTAL_CONFIG.broker_url
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
# A worker that dies gives its task back, about a second later.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Seconds. Shorter than the lease a worker holds on a VM (60 s), so that nobody meets its call in flight.
CELERY_TASK_TIME_LIMIT = 40
# No task outlives its time limit, so nothing that is still running is ever delivered a second time.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 120,
    "socket_timeout": 2,
    "socket_connect_timeout": 1,
    "socket_keepalive": True,
    "health_check_interval": 10,
    # Opening a connection to publish is tried once: the sweep finds what could not be enqueued, and nobody waits.
    "max_retries": 0,
}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_CONNECTION_TIMEOUT = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# Losing the broker says nothing about the hypervisor: a call in flight is finished, not torn off. Its task comes again
# when the broker is back, and finds the work done.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False

# Mail ----------------------------------------------------------------------------------------------------------------

#: Off until a mail server is configured; nothing is then written for anybody.
PORTAL_MAILS = PORTAL_CONFIG.mails
#: Where people reach the portal, without a slash at its end: links in mails begin with it.
PORTAL_URL = PORTAL_CONFIG.public_url
EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
vars().update(PORTAL_CONFIG.email)
DEFAULT_FROM_EMAIL = SERVER_EMAIL = PORTAL_CONFIG.email_from or "vm-portal@localhost"
# Seconds that a mail server may say nothing. Well below the time limit of a task.
EMAIL_TIMEOUT = 10

# Hosts ---------------------------------------------------------------------------------------------------------------

# How many worker processes may wait for one host at a time: one that hangs leaves a process for the others.
HOST_SEATS = PORTAL_CONFIG.worker_processes - 1
HOST_SEATS_DIRECTORY = str(PORTAL_CONFIG.run / "seats")

# Sign-in and browser security ----------------------------------------------------------------------------------------

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "vm_list"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# Cookies do not tell ports apart: two portals on one machine would log each other out.
SESSION_COOKIE_NAME = f"portal_session_{PORTAL_CONFIG.port}"
CSRF_COOKIE_NAME = f"portal_csrf_{PORTAL_CONFIG.port}"
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = PORTAL_CONFIG.https
CSRF_COOKIE_SECURE = PORTAL_CONFIG.https
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds()) if PORTAL_CONFIG.https else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],  # PatternFly's style sheets carry small images inline
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    },
}

# Language and time ---------------------------------------------------------------------------------------------------

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
# Only what is translated as a whole: half-translated pages are worse than English ones. Each by its own name, so that
# whoever reads no other finds it.
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "vms" / "locale"]

# Static files --------------------------------------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = PORTAL_CONFIG.home / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_ALLOW_ALL_ORIGINS = False
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# Logging -------------------------------------------------------------------------------------------------------------

LOGGING = logs.configure(PORTAL_CONFIG.log_format, PORTAL_CONFIG.log_level)
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = True
# Pages refresh every second and beat sweeps every second: a line at the end is enough, for tasks only on failure.
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = 10
DJANGO_STRUCTLOG_CELERY_TASK_START_LOG_LEVEL = 10
DJANGO_STRUCTLOG_CELERY_TASK_SUCCESS_LOG_LEVEL = 10
DJANGO_STRUCTLOG_CELERY_TASK_FAILURE_LOG_LEVEL = 40
