"""Base class of stages: getters, setters and checks follow from the declared Params.

A stage declares each Param as a class attribute (name, meaning, converter) and as a keyword of
``__init__`` (type, default). `takes_params` sets Params and defaults from that signature,
`params_setter` builds ``setParams`` from it, and `Stage` adds the getters and setters that users of
MLlib expect.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from pyspark.ml.param import Param, Params
from pyspark.ml.param import shared as mllib
from pyspark.sql import DataFrame

from spark_sentiment.core.columns import refuse_stream
from spark_sentiment.core.params import integer

P = ParamSpec("P")

_OF_ALL_ROWS = {"_fit", "_evaluate"}

EMPTY: Mapping[str, Any] = MappingProxyType({})
"""Default of Params that are mappings; unlike ``{}``, it is immutable."""


class Stage(Params):
    """Base class of every public stage, model and evaluator.

    A subclass gets ``getX`` and ``setX`` for each Param ``x``, unless it or MLlib defines them. Its
    ``__module__`` is the package, not the file, so a saved Pipeline still loads after a class moves
    to another file of the package.

    Values from the constructor, setters, `copy`, parameter grids and saved stages are checked. A
    wrong type raises TypeError, a wrong value ValueError; both name the stage and the Param. None
    means "not set" and is ignored.

    A stage that fits or evaluates refuses a stream with DataError. `transform` takes a stream,
    unless the stage says otherwise.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__module__ = face(cls.__module__)
        for name in _OF_ALL_ROWS & vars(cls).keys():
            setattr(cls, name, _of_table(vars(cls)[name]))
        types = {name: given.annotation for name, given in _keywords(cls.__init__).items()}
        for param in declared(cls):
            kind = types.get(param.name, inspect.Parameter.empty)
            for made in (_getter(cls, param), _setter(cls, param, kind)):
                if not hasattr(cls, made.__name__):
                    setattr(cls, made.__name__, made)

    def set(self, param: Param[Any], value: Any) -> None:
        """Set a Param of this stage; None is ignored."""
        self._shouldOwn(param)
        self._set(**{param.name: value})

    def _set(self, **kwargs: Any) -> Self:
        self._paramMap.update(self._checked(kwargs))
        return self

    def _setDefault(self, **kwargs: Any) -> Self:
        self._defaultParamMap.update(self._checked(kwargs))
        return self

    def _checked(self, values: Mapping[str, Any]) -> dict[Param[Any], Any]:
        """Return the converted values without None; an error names the stage and the Param."""
        checked = {}
        for name, value in values.items():
            if value is None:
                continue
            param = self.getParam(name)
            try:
                checked[param] = param.typeConverter(value)
            except TypeError as error:
                raise TypeError(f"{self.uid}: Param {name}: {error}") from error
            except ValueError as error:
                raise ValueError(f"{self.uid}: Param {name}: {error}") from error
        return checked


S = TypeVar("S", bound=Stage)


class HasSeed(mllib.HasSeed):
    """MLlib's Param `seed` with a check; the stage sets the default, not a hash of its name."""

    seed: Param[int] = Param(Params._dummy(), "seed", "random seed", integer(0, 2**63 - 1))

    def __init__(self) -> None:
        # MLlib's __init__ is not called: its hash can be negative, and differs in each process.
        super(mllib.HasSeed, self).__init__()


def takes_params(init: Callable[Concatenate[S, P], None]) -> Callable[Concatenate[S, P], None]:
    """Decorate ``__init__`` so that it sets the Params that its keywords name.

    Arguments become values of Params, and defaults of the signature become defaults of Params. None
    as a value or as a default means "not set".

    Raises
    ------
    TypeError
        If a parameter is not keyword-only or has no default: the loader of saved stages calls
        ``cls()``.

    Examples
    --------
    >>> from pyspark.ml import Transformer
    >>> from pyspark.ml.param import Param, Params
    >>> class Cut(Stage, Transformer):
    ...     size = Param(Params._dummy(), "size", "characters kept", integer(1))
    ...     mark = Param(Params._dummy(), "mark", "text that replaces the rest")
    ...
    ...     @takes_params
    ...     def __init__(self, *, size: int = 80, mark: str | None = None) -> None:
    ...         super().__init__()
    ...
    ...     setParams = params_setter(__init__)
    ...
    ...     def _transform(self, dataset):
    ...         return dataset
    >>> cut = Cut(mark=None).setParams(size=7)
    >>> cut.getSize(), cut.isDefined("mark"), cut.setMark("...").getMark()
    (7, False, '...')
    """
    defaults = {}
    for name, keyword in _keywords(init).items():
        if keyword.kind is not keyword.KEYWORD_ONLY or keyword.default is keyword.empty:
            raise TypeError(f"{init.__qualname__}: {name} must be a keyword with a default")
        defaults[name] = keyword.default

    @wraps(init)
    def initialize(self: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
        init(self, *args, **kwargs)
        self._setDefault(**defaults)
        self._set(**kwargs)

    return initialize


def params_setter(init: Callable[Concatenate[S, P], None]) -> Callable[Concatenate[S, P], S]:
    """Return ``setParams`` of a class; it takes the keywords of ``__init__`` without defaults."""
    signature = inspect.signature(init)
    owner = init.__qualname__.rpartition(".")[0]

    def setParams(self: S, /, *args: P.args, **kwargs: P.kwargs) -> S:
        signature.bind(self, *args, **kwargs)
        return self._set(**kwargs)

    setParams.__doc__ = "Set the given Params and leave the others unchanged; None is ignored."
    return _signed(setParams, owner, signature.replace(return_annotation=owner))


def declared(cls: type[Params]) -> list[Param[Any]]:
    """Return the Params that a class declares or inherits, by name.

    Examples
    --------
    >>> from pyspark.ml.param.shared import HasLabelCol
    >>> [param.name for param in declared(HasLabelCol)]
    ['labelCol']
    """
    found = (inspect.getattr_static(cls, name, None) for name in dir(cls))
    return [param for param in found if isinstance(param, Param)]


def face(module: str) -> str:
    """Return the package that exports the public names of `module`; other modules are unchanged.

    Examples
    --------
    >>> face("spark_sentiment.bias.report"), face("somewhere.of.a.user")
    ('spark_sentiment.bias', 'somewhere.of.a.user')
    """
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == __name__.split(".")[0] else module


def _of_table(work: Callable[[Any, DataFrame], Any]) -> Callable[[Any, DataFrame], Any]:
    """Return the method `work` with a check that its rows are not a stream."""

    @wraps(work)
    def checked(self: Any, dataset: DataFrame) -> Any:
        refuse_stream(dataset, self.uid)
        return work(self, dataset)

    return checked


def _keywords(init: Callable[..., None]) -> dict[str, inspect.Parameter]:
    """Return the parameters of ``__init__`` without ``self``."""
    return dict(list(inspect.signature(init).parameters.items())[1:])


def _getter(cls: type[Params], param: Param[Any]) -> Callable[..., Any]:
    def get(self: Params) -> Any:
        return self.getOrDefault(self.getParam(param.name))

    get.__name__ = f"get{_capital(param.name)}"
    get.__doc__ = f"Return `{param.name}`, or its default: {param.doc}."
    instance = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return _signed(get, cls.__qualname__, inspect.Signature([instance]))


def _setter(cls: type[Params], param: Param[Any], kind: Any) -> Callable[..., Any]:
    def set_value(self: Stage, value: Any) -> Stage:
        return self._set(**{param.name: value})

    set_value.__name__ = f"set{_capital(param.name)}"
    set_value.__doc__ = f"Set `{param.name}`: {param.doc}."
    either = inspect.Parameter.POSITIONAL_OR_KEYWORD
    takes = [inspect.Parameter("self", either), inspect.Parameter("value", either, annotation=kind)]
    signature = inspect.Signature(takes, return_annotation=cls.__qualname__)
    return _signed(set_value, cls.__qualname__, signature)


F = TypeVar("F", bound=Callable[..., Any])


def _signed(function: F, owner: str, signature: inspect.Signature) -> F:
    """Set name and signature of a generated function as if it were written in class `owner`."""
    function.__qualname__ = f"{owner}.{function.__name__}"
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]
