"""The page behind the one-time link that the first start prints."""

from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.debug import sensitive_post_parameters

from accounts.forms.people import SetupForm
from accounts.services import setup as service
from accounts.views.answers import log_in, private, status_of, told_in


@login_not_required
@sensitive_post_parameters("password", "again")
def setup(request: HttpRequest, token: str) -> HttpResponse:
    """Makes the owner and the organization, and logs the owner in. Works once."""
    if not service.works(token):
        return render(request, "accounts/setup_void.html", {"is_set_up": service.is_set_up()}, status=410)
    form = SetupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        with told_in(form), transaction.atomic():
            user, _ = service.complete(
                token=token,
                email=data["email"],
                name=data["name"],
                password=data["password"],
                organization=data["organization"],
            )
            return log_in(request, user)
        if service.is_set_up():  # somebody else was faster
            return render(request, "accounts/setup_void.html", {"is_set_up": True}, status=410)
    return private(render(request, "accounts/setup.html", {"form": form}, status=status_of(form)))
