"""The product's addresses and the style guide."""

from django.urls import include, path

from warden.styleguide import styleguide

urlpatterns = [path("design", styleguide), path("", include("warden.urls"))]
