"""Django's hello world in one file."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import path

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="only for the tests", USE_TZ=True)


def hello(request):
    return HttpResponse("hello from Django")


def form(request):
    return JsonResponse({"name": request.POST["name"], "remote": request.META["REMOTE_ADDR"]})


urlpatterns = [path("", hello), path("form", form)]
application = get_wsgi_application()
