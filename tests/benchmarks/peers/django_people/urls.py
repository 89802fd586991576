from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.urls import include, path

urlpatterns = [path("scim/v2/", include("django_scim.urls", namespace="scim"))]


def everybody(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def answer(request: Any) -> Any:
        request.user = AnonymousUser()
        return get_response(request)

    return answer
