"""Embedding: text to vectors by a BERT-family checkpoint, inside Spark.

`BertEmbeddings` is the stage; `embed_texts` embeds a list of texts in one process. A checkpoint is
converted once to one ONNX file (``checkpoint``, ``graph``, ``convert``, ``cache``). ``engines`` run
the file in each Python worker; ``spark_nlp`` runs the same file in Spark NLP.
"""

from spark_sentiment.embedding.bert import BertEmbeddings, embed_texts
from spark_sentiment.embedding.convert import Converted, convert

__all__ = [
    "BertEmbeddings",
    "Converted",
    "convert",
    "embed_texts",
]
