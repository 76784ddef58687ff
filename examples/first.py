"""The README's first behaviour: it sleeps until there is news, thinks about it, and is done after the second."""

from pydantic import BaseModel

from maestro import Behaviour, Event, Finding, Finish, Sleep, Tick


class Heard(BaseModel):
    titles: list[str] = []


class First(Behaviour[Heard]):
    async def start(self, tick: Tick[Heard]) -> Sleep:
        tick.subscribe("news.>")
        return Sleep.until_woken(because="asleep until there is news")

    async def on_event(self, tick: Tick[Heard], event: Event) -> Finish | None:
        title = str(event.payload)
        tick.state.titles.append(title)
        answer = await tick.think("What does this mean for the goal?", about=title)
        tick.publish(Finding(title=title, body=answer, evidence=(event.id,)))
        return Finish(result=tick.state.titles) if len(tick.state.titles) == 2 else None
