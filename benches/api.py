"""An ordinary FastAPI route: a parameter that is checked, and an answer in JSON."""

from fastapi import FastAPI
from pydantic import BaseModel

application = FastAPI()


class Order(BaseModel):
    number: int
    title: str
    price: float
    tags: list[str]


@application.get("/")
async def order(number: int = 1) -> Order:
    return Order(number=number, title="a screw", price=number * 1.25, tags=["steel", "long"])
