"""SageMaker's built-in algorithms: images, training formats and required settings.

The accounts of images are from the developer guide ("Docker Registry Paths and Example Code"), and
the hyperparameters from its chapter about each algorithm.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spark_sentiment.errors import SageMakerError

_MOST = {
    "af-south-1": "455444449433",
    "ap-east-1": "286214385809",
    "ap-northeast-1": "351501993468",
    "ap-northeast-2": "835164637446",
    "ap-south-1": "991648021394",
    "ap-southeast-1": "475088953585",
    "ap-southeast-2": "712309505854",
    "ca-central-1": "469771592824",
    "cn-north-1": "390948362332",
    "cn-northwest-1": "387376663083",
    "eu-central-1": "664544806723",
    "eu-north-1": "669576153137",
    "eu-south-1": "257386234256",
    "eu-west-1": "438346466558",
    "eu-west-2": "644912444149",
    "eu-west-3": "749696950732",
    "me-south-1": "249704162688",
    "sa-east-1": "855470959533",
    "us-east-1": "382416733822",
    "us-east-2": "404615174143",
    "us-gov-west-1": "226302683700",
    "us-west-1": "632365934929",
    "us-west-2": "174872318107",
}
_BLAZINGTEXT = _MOST | {
    "ap-northeast-1": "501404015308",
    "ap-northeast-2": "306986355934",
    "ap-southeast-2": "544295431143",
    "eu-central-1": "813361260812",
    "eu-west-1": "685385470294",
    "us-east-1": "811284229777",
    "us-east-2": "825641698319",
    "us-west-2": "433757028032",
}
_LDA = {
    "ap-northeast-1": "258307448986",
    "ap-northeast-2": "293181348795",
    "ap-south-1": "991648021394",
    "ap-southeast-1": "475088953585",
    "ap-southeast-2": "297031611018",
    "ca-central-1": "469771592824",
    "eu-central-1": "353608530281",
    "eu-west-1": "999678624901",
    "eu-west-2": "644912444149",
    "us-east-1": "766337827248",
    "us-east-2": "999911452149",
    "us-gov-west-1": "226302683700",
    "us-west-1": "632365934929",
    "us-west-2": "266724342769",
}
_XGBOOST = {
    "af-south-1": "510948584623",
    "ap-east-1": "651117190479",
    "ap-northeast-1": "354813040037",
    "ap-northeast-2": "366743142698",
    "ap-northeast-3": "867004704886",
    "ap-south-1": "720646828776",
    "ap-southeast-1": "121021644041",
    "ap-southeast-2": "783357654285",
    "ca-central-1": "341280168497",
    "cn-north-1": "450853457545",
    "cn-northwest-1": "451049120500",
    "eu-central-1": "492215442770",
    "eu-north-1": "662702820516",
    "eu-south-1": "978288397137",
    "eu-west-1": "141502667606",
    "eu-west-2": "764974769150",
    "eu-west-3": "659782779980",
    "me-south-1": "801668240914",
    "sa-east-1": "737474898029",
    "us-east-1": "683313688378",
    "us-east-2": "257758044811",
    "us-gov-west-1": "414596584902",
    "us-west-1": "746614075791",
    "us-west-2": "246618743249",
}


@dataclass(frozen=True)
class Algorithm:
    """Image, formats and hyperparameters of one algorithm.

    Attributes
    ----------
    repository, tag : str
        Repository and tag of its image; empty for your own image.
    accounts : mapping of str to str
        The account of the image in each region.
    training, request : str
        Formats of training files and of requests.
    labelled, weighted : bool
        Whether it needs a label; whether a row may have a weight.
    classes : str or None
        Name of the hyperparameter for the number of classes, if it is required.
    fewest_classes : int
        Minimum of the number of classes.
    defaults : mapping of str to str
        Hyperparameters that its name implies, or that it requires.
    required : tuple of str
        Hyperparameters that only a user can choose.
    """

    repository: str = ""
    tag: str = "1"
    accounts: Mapping[str, str] = field(default_factory=dict)
    training: str = "csv"
    request: str = "csv"
    labelled: bool = True
    weighted: bool = False
    classes: str | None = None
    fewest_classes: int = 2
    defaults: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()

    @property
    def needs_width(self) -> bool:
        """Whether it requires the width of the vectors."""
        return self.training == "recordio"


def _first_party(
    repository: str, *required: str, accounts: Mapping[str, str] = _MOST, **settings: str
) -> Algorithm:
    """Return an algorithm that reads and answers RecordIO, and learns from no label."""
    return Algorithm(
        repository,
        accounts=accounts,
        training="recordio",
        request="recordio",
        labelled=False,
        defaults=settings,
        required=required,
    )


def _supervised(repository: str, predictor: str, *required: str) -> Algorithm:
    """Return an algorithm that reads and answers RecordIO, and learns from a label."""
    return Algorithm(
        repository,
        accounts=_MOST,
        training="recordio",
        request="recordio",
        classes="num_classes" if predictor == "multiclass_classifier" else None,
        fewest_classes=3,
        defaults={"predictor_type": predictor},
        required=required,
    )


def _xgboost(classes: str | None, objective: str) -> Algorithm:
    return Algorithm(
        "sagemaker-xgboost",
        "1.7-1",
        _XGBOOST,
        weighted=True,
        classes=classes,
        defaults={"objective": objective, "num_round": "100"},
    )


ALGORITHMS = {
    "kmeans": _first_party("kmeans", "k"),
    "pca": _first_party("pca", "num_components", mini_batch_size="500"),
    "lda": _first_party("lda", "num_topics", "mini_batch_size", accounts=_LDA),
    "ntm": _first_party("ntm", "num_topics"),
    "randomcutforest": _first_party("randomcutforest"),
    "linear-learner-regressor": _supervised("linear-learner", "regressor"),
    "linear-learner-binary": _supervised("linear-learner", "binary_classifier"),
    "linear-learner-multiclass": _supervised("linear-learner", "multiclass_classifier"),
    "factorization-machines-regressor": _supervised(
        "factorization-machines", "regressor", "num_factors"
    ),
    "factorization-machines-binary": _supervised(
        "factorization-machines", "binary_classifier", "num_factors"
    ),
    "knn": _supervised("knn", "classifier", "k", "sample_size"),
    "xgboost": _xgboost(None, "reg:squarederror"),
    "xgboost-multiclass": _xgboost("num_class", "multi:softprob"),
    "blazingtext": Algorithm(
        "blazingtext",
        accounts=_BLAZINGTEXT,
        training="text",
        request="jsonlines",
        defaults={"mode": "supervised"},
    ),
    "csv": Algorithm(weighted=True),
    "jsonlines": Algorithm(request="jsonlines", weighted=True),
}
"""Algorithms by value of Param `algorithm`; 'csv' and 'jsonlines' are for your own image."""


def image_uri(algorithm: str, region: str) -> str:
    """Return the URI of the image of a built-in algorithm.

    Raises
    ------
    SageMakerError
        If the algorithm is not built in, or its account in the region is unknown. Set Param image
        then.

    Examples
    --------
    >>> image_uri("kmeans", "eu-west-1")
    '438346466558.dkr.ecr.eu-west-1.amazonaws.com/kmeans:1'
    """
    known = ALGORITHMS[algorithm]
    if not known.repository:
        raise SageMakerError(f"algorithm '{algorithm}' needs your own image: set Param image")
    account = known.accounts.get(region)
    if account is None:
        raise SageMakerError(
            f"the image of '{algorithm}' is unknown in region '{region}', known in "
            f"{', '.join(sorted(known.accounts))}: set Param image"
        )
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"{account}.dkr.ecr.{region}.{domain}/{known.repository}:{known.tag}"
