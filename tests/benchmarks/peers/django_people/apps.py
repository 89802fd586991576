from django.apps import AppConfig


class People(AppConfig):
    name = "tests.benchmarks.peers.django_people"
    label = "people"
