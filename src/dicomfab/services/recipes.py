"""Recipes: those that come with the software, those that people save, and files."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dicomfab.access.policy import Action, Scope, require
from dicomfab.model.actor import Actor
from dicomfab.model.errors import Conflict, InvalidInput, NotFound

if TYPE_CHECKING:
    from dicomfab.fabricate.recipe_file import RecipeFile

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_SUFFIXES: Final = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class NamedRecipe:
    """A recipe and where it is.

    Args:
        name: of a saved or shipped one; of a file its path.
        origin: ``shipped``, ``saved`` or ``file``.
    """

    name: str
    origin: str
    recipe: RecipeFile


@dataclass(frozen=True, slots=True)
class RecipeService:
    """Finds and keeps recipes.

    Args:
        folder: of the saved ones, a file each; made when the first is saved.
    """

    folder: Path

    def every(self, actor: Actor) -> tuple[NamedRecipe, ...]:
        """All that have a name; a saved one stands in for a shipped one of the same name.

        Raises:
            InvalidInput: a saved file that is no recipe.
        """
        from dicomfab.fabricate.recipe_file import shipped

        require(actor, Action.FABRICATE, Scope.SYSTEM)
        found = {name: NamedRecipe(name, "shipped", recipe) for name, recipe in shipped().items()}
        for path in sorted(self.folder.glob("*.yaml")):
            found[path.stem] = NamedRecipe(path.stem, "saved", _read(path))
        return tuple(found[name] for name in sorted(found))

    def load(self, actor: Actor, reference: str) -> NamedRecipe:
        """The recipe that someone at this computer means: a file, or the name of a saved or shipped one.

        Raises:
            InvalidInput: the file is no recipe.
            NotFound: there is none.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        if reference.endswith(_SUFFIXES) or os.sep in reference:
            return NamedRecipe(reference, "file", _read(Path(reference)))
        return self.named(actor, reference)

    def named(self, actor: Actor, name: str) -> NamedRecipe:
        """A saved or shipped recipe; never another file.

        Raises:
            NotFound: there is none of this name.
        """
        from dicomfab.fabricate.recipe_file import shipped_recipe

        require(actor, Action.FABRICATE, Scope.SYSTEM)
        saved = self.folder / f"{name}.yaml"
        if _NAME.fullmatch(name) and saved.is_file():
            return NamedRecipe(name, "saved", _read(saved))
        return NamedRecipe(name, "shipped", shipped_recipe(name))

    def save(self, actor: Actor, name: str, recipe: RecipeFile, *, replace: bool = False) -> Path:
        """Keep a recipe under a name. What it says is resolved once, so that only what can be made is kept.

        Raises:
            InvalidInput: the name, or a value in the recipe, cannot be used.
            Conflict: the name is taken and ``replace`` is not set.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"name: {name!r} cannot name a recipe",
                field="name",
                value=name,
                cause="a name has small letters, digits and hyphens, 64 at most",
                remedy="choose one such as chest-follow-up",
            )
        check(recipe)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.yaml"
        part = self.folder / f".{name}.{os.getpid()}.part"
        try:
            part.write_text(recipe.text(), "utf-8")
            if replace:
                part.replace(path)
            else:
                os.link(part, path)
        except FileExistsError:
            raise Conflict(
                f"there is a recipe {name!r} already",
                cause="it was saved before",
                remedy="choose another name, or replace it: --replace",
            ) from None
        finally:
            part.unlink(missing_ok=True)
        return path

    def remove(self, actor: Actor, name: str) -> None:
        """Forget a saved recipe.

        Raises:
            NotFound: none of this name is saved.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        path = self.folder / f"{name}.yaml"
        if not _NAME.fullmatch(name) or not path.is_file():
            raise NotFound(
                f"no recipe {name!r} is saved",
                cause="the name is wrong, or it comes with the software and stays",
                remedy="see which are saved: dicomfab recipe list",
            )
        path.unlink()


def check(recipe: RecipeFile) -> None:
    """Resolve a recipe for nothing.

    Raises:
        InvalidInput: it asks for something that cannot be made.
    """
    import datetime as dt

    from dicomfab.fabricate.resolve import resolve

    resolve(recipe.study(), now=dt.datetime(2026, 1, 31, tzinfo=dt.UTC), draw_seed=lambda: 1)


def _read(path: Path) -> RecipeFile:
    from dicomfab.fabricate.recipe_file import read

    try:
        return read(path.read_text("utf-8"), source=path.name)
    except OSError as error:
        raise NotFound(
            f"recipe {path} cannot be read ({error.strerror})",
            cause="there is no such file, or it may not be read",
            remedy="name a file, or a recipe by its name: dicomfab recipe list",
        ) from error
    except UnicodeDecodeError:
        raise InvalidInput(
            f"recipe: {path.name} is not UTF-8 text",
            field="recipe",
            value=str(path),
            cause="a recipe is a text file",
            remedy="save it as UTF-8",
        ) from None
