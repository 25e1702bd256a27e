"""The environment, read once at an entrance into one frozen `Settings`."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from refit.errors import ContractError

Port = Annotated[int, Field(ge=1, le=65535)]
Days = Annotated[int, Field(ge=1, le=36_500)]


class Settings(BaseSettings):
    """Every setting of `refit`, each read from `REFIT_<NAME>`.

    Without `database_url` an embedded PostgreSQL runs under `home`. Without `api_keys` the service answers this machine
    alone. A release that is not ready within `start_seconds` is refused. Every number has an upper bound: infinity, or
    what no clock or calendar goes to, would break each generation in its start, and look like the fault of the release.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix="REFIT_", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    home: Path = Path(".refit")
    database_url: SecretStr | None = None
    source_url: SecretStr | None = None
    lake_url: str | None = None
    usecases: Path = Path("usecases")
    host: str = "127.0.0.1"
    prefect_port: Port = 4200
    service_port: Port = 3000
    console_port: Port = 8080
    prefect_api_url: str | None = None
    console_url: str | None = None
    console_token: SecretStr | None = None
    webhook_url: str | None = None
    webhook_secret: SecretStr | None = None
    keep_reports_days: Days = 365
    keep_predictions_days: Days = 730
    keep_runs_days: Days = 90
    api_keys: SecretStr | None = None
    request_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    max_concurrent: Annotated[int, Field(ge=1, le=1_000_000)] = 256
    start_seconds: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    spool_mb: Annotated[float, Field(gt=0, le=100_000_000)] = 256.0
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"

    @classmethod
    def read(cls) -> Self:
        """Read the environment.

        Raises:
            ContractError: A value does not fit; names the variable, never the value.
        """
        try:
            return cls()
        except ValidationError as error:
            problems = (f"REFIT_{str(p['loc'][0]).upper()}: {p['msg']}" for p in error.errors(include_input=False))
            raise ContractError("\n".join(problems)) from None

    @cached_property
    def folder(self) -> Path:
        """Where everything a run keeps lies, absolute."""
        return self.home.expanduser().absolute()

    @cached_property
    def lake(self) -> str:
        """The lake as an fsspec address."""
        return self.lake_url or str(self.folder / "lake")

    @property
    def bundles(self) -> Path:
        """Where trained bundles lie, `USECASE/VERSION/` each."""
        return self.folder / "bundles"

    @property
    def reports(self) -> Path:
        """Where drift reports lie, `USECASE/RUN/` each."""
        return self.folder / "reports"

    @property
    def bentoml(self) -> Path:
        """BentoML's own home: its store of Bentos."""
        return self.folder / "bentoml"
