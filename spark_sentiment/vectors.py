"""Vector columns -> array columns and back: MLlib's functions, imported when first called.

Their module imports pandas, which takes a second that most who import this package need not wait.
"""

from pyspark.sql import Column


def to_array(vector: Column, dtype: str = "float64") -> Column:
    """Return a vector column as an array of 'float64' or 'float32'; its task fails on a null.

    Examples
    --------
    >>> from pyspark.ml.linalg import Vectors
    >>> df = spark.createDataFrame([(Vectors.sparse(3, [1], [2.0]),)], ["v"])
    >>> df.select(to_array(df.v)).head()[0]
    [0.0, 2.0, 0.0]
    """
    from pyspark.ml.functions import vector_to_array

    return vector_to_array(vector, dtype)


def to_vector(array: Column) -> Column:
    """Return a column of arrays of numbers as dense vectors; its task fails on a null.

    Examples
    --------
    >>> df = spark.createDataFrame([([0.0, 2.0],)], ["a"])
    >>> df.select(to_vector(df.a)).head()[0]
    DenseVector([0.0, 2.0])
    """
    from pyspark.ml.functions import array_to_vector

    return array_to_vector(array)
