"""What a store in memory has of one streamed answer while it is being written."""

from dataclasses import dataclass, field

from maestro.pager.pieces import PIECE_BYTES_KEPT, PIECES_KEPT, Kept


@dataclass(slots=True)
class Telling:
    """What is told of one answer."""

    edition: int = 0
    chars: int = 0
    """Of the newest edition."""
    last: int = 0
    size: int = 0
    kept: list[Kept] = field(default_factory=list)

    def put(self, text: str, because: str | None = None) -> None:
        self.last += 1
        self.kept.append(Kept(self.last, self.edition, self.chars, text, because))
        self.chars += len(text)
        self.size += len(text.encode())

    def trim(self) -> None:
        """No more is kept than may be; the newest piece is, however long."""
        while len(self.kept) > 1 and (len(self.kept) > PIECES_KEPT or self.size > PIECE_BYTES_KEPT):
            self.size -= len(self.kept.pop(0).text.encode())
