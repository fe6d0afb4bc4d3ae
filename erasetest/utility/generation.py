"""Write completions for problems: batched, each prompt read once for all its samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from erasetest.clm import Clm, Continuation, continuations
from erasetest.clm.decoding import Choose, greedy
from erasetest.clm.sampler import drawing, uniform_numbers
from erasetest.errors import BadInput
from erasetest.utility.problems import Problem
from erasetest.utility.sampling import Sampling

_BODY = "    return"


def generate(
    clm: Clm,
    problems: Sequence[Problem],
    sampling: Sampling,
    progress: Callable[[int], None] | None = None,
    first: int = 0,
) -> list[list[str]]:
    """`sampling.samples` completions for each problem, cut at the first stop sequence.

    Each (problem, sample) draws from random numbers of its own, so the batch it falls into does not
    change what it is. `progress` is told how many completions are done. `first` is the number of
    the first problem, where these are a part of more.

    Raises:
        BadInput: a prompt does not fit the CLM's window.
    """
    prompts = [_PROMPTS[sampling.prompt](clm, problem.prompt) for problem in problems]
    jobs = []
    for number, (problem, (ids, _)) in enumerate(zip(problems, prompts, strict=True)):
        room = min(sampling.max_tokens, clm.window - len(ids))
        if room < 1:
            raise BadInput(
                f"problem {problem.task_id}: its prompt of {len(ids)} tokens fills the CLM's "
                f"window of {clm.window}"
            )
        jobs += [Continuation(number, len(ids), room)] * sampling.samples
    choose: Choose = greedy
    if sampling.temperature > 0:
        before = first * sampling.samples
        numbers = uniform_numbers(len(jobs), sampling.max_tokens, sampling.seed, before)
        choose = drawing(numbers, sampling.temperature, sampling.top_p)
    decode = partial(clm.tokenizer.decode, clean_up_tokenization_spaces=False)

    def stop(job: int, tokens: list[int]) -> bool:
        # A stop in the prompt's own end, which the CLM writes anew, is none.
        text = str(decode(tokens)).removeprefix(prompts[jobs[job].row][1])
        return len(problems[jobs[job].row].cut(text)) < len(text)

    made = continuations(
        clm, [ids for ids, _ in prompts], jobs, choose=choose, stop=stop, progress=progress
    )
    texts: list[list[str]] = [[] for _ in problems]
    for job, tokens in zip(jobs, made, strict=True):
        ids, missing = prompts[job.row]
        texts[job.row].append(problems[job.row].cut(_written(clm, ids, tokens, missing)))
    return texts


def aligned_prompt(clm: Clm, prompt: str) -> tuple[list[int], str]:
    """The tokens of the prompt that stay when code follows, and the text of the prompt after them.

    A prompt that ends in white space is tokenized unlike the same place in training text, where the
    white space goes together with what follows. So the prompt is tokenized with a body behind it,
    and the tokens that reach into the body are left for the CLM to write.
    """
    text = prompt + _BODY
    encoded = clm.tokenizer(text, return_offsets_mapping=True, verbose=False)
    ids, end = [], 0
    for token, (_, stop) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
        if stop > len(prompt):
            break
        ids.append(token)
        end = max(end, stop)
    return (ids, prompt[end:]) if ids else ([clm.start_token], prompt)


def _stripped(clm: Clm, prompt: str) -> tuple[list[int], str]:
    kept = prompt.rstrip()
    return _whole(clm, kept)[0], prompt[len(kept) :]


def _whole(clm: Clm, prompt: str) -> tuple[list[int], str]:
    return list(clm.tokenizer(prompt, verbose=False)["input_ids"]) or [clm.start_token], ""


_PROMPTS = {"aligned": aligned_prompt, "stripped": _stripped, "whole": _whole}


def _written(clm: Clm, ids: list[int], tokens: list[int], missing: str) -> str:
    before = ids[-4:]
    decode = partial(clm.tokenizer.decode, clean_up_tokenization_spaces=False)
    text = str(decode(before + tokens))[len(str(decode(before))) :]
    # The CLM wrote the end of the prompt anew; where it wrote something else, that stands.
    return text.removeprefix(missing)
