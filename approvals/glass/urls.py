from django.urls import path

from approvals.glass import views

app_name = "glass"
urlpatterns = [
    path("", views.broken, name="list"),
    path("<str:brk_id>/", views.sign, name="sign"),
]
