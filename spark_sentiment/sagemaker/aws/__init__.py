"""What AWS is asked for: clients, names and tags, endpoints, and when to look again.

``clients`` makes boto3's clients and tells their errors apart; ``resources`` names, tags, lists and
deletes; ``hosting`` makes and deletes what stands behind an endpoint; ``waits`` says when to look
again.
"""
