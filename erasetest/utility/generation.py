"""Generate completions of problems, batched; the prompt is computed once for all its samples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from erasetest.clm import Clm, Continuation, continuations
from erasetest.clm.decoding import Choose, greedy
from erasetest.clm.sampler import drawing, uniform_numbers
from erasetest.errors import BadInput
from erasetest.support.progress import Progress
from erasetest.utility.problems import Problem
from erasetest.utility.sampling import Sampling

_BODY = "    return"
"""Code that can follow the prompt of a function."""


def generate(
    clm: Clm,
    problems: Sequence[Problem],
    sampling: Sampling,
    progress: Progress | None = None,
    first: int = 0,
) -> list[list[str]]:
    """Generate `sampling.samples` completions per problem, cut at the first stop sequence.

    The random numbers of a completion depend on the seed and on the numbers of its problem and
    sample alone, so neither the batch nor the CLM changes them.

    Args:
        clm: the CLM.
        problems: P problems.
        sampling: how completions are sampled.
        progress: called with the number of finished completions and of all.
        first: number of the first problem, where the P problems are a block of a longer list.

    Returns:
        P lists of `sampling.samples` completions.

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
        # The CLM repeats the end of the prompt: a stop sequence in there ends nothing.
        text = str(decode(tokens)).removeprefix(prompts[jobs[job].row][1])
        return len(problems[jobs[job].row].cut(text)) < len(text)

    generated = continuations(
        clm, [ids for ids, _ in prompts], jobs, choose=choose, stop=stop, progress=progress
    )
    texts: list[list[str]] = [[] for _ in problems]
    for job, tokens in zip(jobs, generated, strict=True):
        ids, unread = prompts[job.row]
        texts[job.row].append(problems[job.row].cut(_completion(clm, ids, tokens, unread)))
    return texts


def aligned_prompt(clm: Clm, prompt: str) -> tuple[list[int], str]:
    """Return the tokens of the prompt that do not change when code follows, and the text left over.

    White space at the end of a prompt is tokenized differently than in training text, where one
    token can span the white space and the code after it. So the prompt is tokenized with a function
    body appended, and tokens that extend into the body are left for the CLM to generate.
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
    stripped = prompt.rstrip()
    return _whole(clm, stripped)[0], prompt[len(stripped) :]


def _whole(clm: Clm, prompt: str) -> tuple[list[int], str]:
    return list(clm.tokenizer(prompt, verbose=False)["input_ids"]) or [clm.start_token], ""


_PROMPTS = {"aligned": aligned_prompt, "stripped": _stripped, "whole": _whole}


def _completion(clm: Clm, ids: list[int], tokens: list[int], unread: str) -> str:
    # Decoded behind the prompt's last tokens: some tokenizers drop a leading space otherwise.
    before = ids[-4:]
    decode = partial(clm.tokenizer.decode, clean_up_tokenization_spaces=False)
    text = str(decode(before + tokens))[len(str(decode(before))) :]
    # The CLM repeats the unread end of the prompt; if it generated something else, that is kept.
    return text.removeprefix(unread)
