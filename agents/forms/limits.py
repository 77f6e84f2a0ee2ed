"""The fields of a budget, as a tier's and an agent's form have them."""

from typing import Any

from django import forms

from agents.policy.budgets import NAMES, SPANS


class LimitsForm(forms.ModelForm):
    """Six optional fields, kept as one: `limits`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in NAMES:
            kind, _, span = name.partition("_per_")
            whole = kind == "count"
            self.fields[name] = (forms.IntegerField if whole else forms.DecimalField)(
                label=f"{'Times' if whole else 'In all'} per {span}",
                required=False,
                min_value=0,
                initial=self.instance.limits.get(name),
                widget=forms.TextInput(
                    attrs={"inputmode": "numeric" if whole else "decimal", "autocomplete": "off", "size": 8}
                ),
            )

    def clean(self) -> dict[str, Any]:
        """Puts them where the model checks them."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        self.instance.limits = self._limits(data)
        return data

    def limit_rows(self) -> list[tuple[str, list[forms.BoundField]]]:
        """For the template: how often, how much."""
        kinds = {"count": "How often", "total": "How much in all"}
        return [(words, [self[f"{kind}_per_{span}"] for span in SPANS]) for kind, words in kinds.items()]

    def _limits(self, data: dict[str, Any]) -> dict[str, Any]:
        given = {name: data.get(name) for name in NAMES}
        return {name: str(most) for name, most in given.items() if most is not None}

    def with_limits(self, values: dict[str, Any]) -> dict[str, Any]:
        """What the services take: the six as one."""
        return {name: value for name, value in values.items() if name not in NAMES} | {"limits": self._limits(values)}
