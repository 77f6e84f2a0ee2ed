"""Trees, proofs and notes: published vectors, a second implementation, and what must not verify."""

import hashlib
import random

import pytest
from agentwarden.verify import is_consistent, leaf_hash, root_of_inclusion, verify_proof
from agentwarden.verify._notes import open_note, read_head, read_keys
from agentwarden.verify._tree import Range

from audit import merkle, note
from audit.merkle import Tree

# RFC 6962's reference tree (certificate-transparency, merkletree tests): eight leaves, and the root at each size.
DATA = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
LEAVES = [bytes.fromhex(text) for text in DATA]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
# (leaf, size, proof) and (old, new, proof) of the same tests
INCLUSION = [
    (0, 1, []),
    (0, 8, ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"]),
    (5, 8, ["bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"]),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
]  # fmt: skip
CONSISTENCY = [
    (1, 1, []),
    (1, 8, ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"]),
    (6, 8, ["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"]),
    (2, 5, ["5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"]),
]  # fmt: skip
# The example of c2sp.org/signed-note's reference implementation, with its keys.
NEUMANN_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PROBLEM = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNED_PROBLEM = (
    PROBLEM + "\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# c2sp.org/tlog-checkpoint
SOFA = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)


def hashes(*texts: str) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def tree_of(leaves: list[bytes]) -> tuple[Tree, dict[merkle.Place, bytes]]:
    tree, tiles = Tree(), {}
    tiles |= tree.append(leaves)
    return tree, tiles


def test_the_published_roots() -> None:
    assert Tree().root().hex() == Range().root().hex() == EMPTY
    tree, other = Tree(), Range()
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        tree.append([leaf_hash(leaf)])
        other.add(leaf_hash(leaf))
        assert tree.root().hex() == other.root().hex() == root


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_the_published_proofs_of_inclusion(index: int, size: int, proof: list[str]) -> None:
    _, tiles = tree_of([leaf_hash(leaf) for leaf in LEAVES[:size]])
    assert merkle.hashes_of(merkle.inclusion_spans(index, size), tiles) == hashes(*proof)
    assert root_of_inclusion(leaf_hash(LEAVES[index]), index, size, hashes(*proof)).hex() == ROOTS[size - 1]


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCY)
def test_the_published_proofs_of_consistency(old: int, new: int, proof: list[str]) -> None:
    _, tiles = tree_of([leaf_hash(leaf) for leaf in LEAVES[:new]])
    assert merkle.hashes_of(merkle.consistency_spans(old, new), tiles) == hashes(*proof)
    assert is_consistent(old, new, *hashes(ROOTS[old - 1], ROOTS[new - 1]), hashes(*proof))


def test_in_a_tree_of_several_levels_of_tiles_every_proof_leads_to_the_root() -> None:
    dice = random.Random(6962)
    leaves = [hashlib.sha256(b"%d" % number).digest() for number in range(70_000)]
    tree, tiles, sizes, other, roots = Tree(), {}, [1, 255, 256, 257, 65_535, 65_536, 65_537, 70_000], Range(), {}
    for start, end in zip([0, *sizes], sizes, strict=False):
        tiles |= tree.append(leaves[start:end])
        for leaf in leaves[start:end]:
            other.add(leaf)
        roots[end] = tree.root()
        assert other.root() == roots[end]
        again = Tree.read(end, tiles)
        assert (again.root(), again.edge) == (roots[end], tree.edge)
    for size in sizes:
        for index in {0, size - 1, dice.randrange(size), dice.randrange(size)}:
            proof = merkle.hashes_of(merkle.inclusion_spans(index, size), tiles)
            assert root_of_inclusion(leaves[index], index, size, proof) == roots[size]
            if size > 1:
                assert root_of_inclusion(leaves[index], index, size, [*proof[:-1], bytes(32)]) != roots[size]
    for old in sizes:
        for new in sizes:
            if old <= new:
                proof = merkle.hashes_of(merkle.consistency_spans(old, new), tiles)
                assert is_consistent(old, new, roots[old], roots[new], proof)
                assert not is_consistent(old, new, bytes(32), roots[new], proof)


def test_a_proof_reads_few_tiles_however_large_the_tree() -> None:
    assert len(merkle.tiles_of(merkle.inclusion_spans(1_234_567, 10_000_019))) <= 8


def test_the_published_note_is_signed_and_verified_byte_for_byte() -> None:
    private = note.Ed25519PrivateKey.from_private_bytes(note.decode(NEUMANN_SECRET.split("+", 4)[4])[1:])
    public = private.public_key().public_bytes_raw()
    assert note.verifier_key("PeterNeumann", public) == NEUMANN
    assert read_keys(NEUMANN) == [public]
    assert note.sign(PROBLEM, "PeterNeumann", private) == SIGNED_PROBLEM
    assert note.verified(SIGNED_PROBLEM, "PeterNeumann", public) == PROBLEM
    assert open_note(SIGNED_PROBLEM, "PeterNeumann", [public]) == (PROBLEM, 0)


def test_the_published_checkpoint_is_read() -> None:
    text = SOFA.partition("\n\n")[0] + "\n"
    assert read_head(text) == note.read_head(text)
    assert note.read_head(text)[:2] == ("example.com/behind-the-sofa", 20_852_163)
    assert note.read_head(text).text == text


def test_a_note_that_was_altered_in_any_character_is_refused() -> None:
    private = note.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = private.public_key().public_bytes_raw()
    head = note.Head("example.com/log", 7, bytes(32))
    signed = note.sign(head.text, head.origin, private)
    assert read_head(open_note(signed, head.origin, [public])[0]) == head
    assert note.verified(signed, head.origin, public) == head.text
    for place in range(len(signed)):
        altered = signed[:place] + ("A" if signed[place] != "A" else "B") + signed[place + 1 :]
        with pytest.raises(ValueError, match=r".+"):
            open_note(altered, head.origin, [public])
        with pytest.raises(ValueError, match=r".+"):
            note.verified(altered, head.origin, public)


def test_the_proof_of_one_event_as_a_file() -> None:
    private = note.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = private.public_key().public_bytes_raw()
    tree, tiles = tree_of([leaf_hash(leaf) for leaf in LEAVES])
    signed = note.sign(note.Head("example.com/log", 8, tree.root()).text, "example.com/log", private)
    lines = [note.encode(each) for each in merkle.hashes_of(merkle.inclusion_spans(5, 8), tiles)]
    proof = "\n".join(["c2sp.org/tlog-proof@v1", "index 5", *lines, "", signed])
    assert verify_proof(proof, LEAVES[5], [public])[0] == 5
    for event, text, keys in [
        (LEAVES[4], proof, [public]),
        (LEAVES[5], proof.replace("index 5", "index 4"), [public]),
        (LEAVES[5], proof.replace("index 5", "index 05"), [public]),
        (LEAVES[5], proof.replace(lines[0] + "\n", ""), [public]),
        (LEAVES[5], proof, [bytes(32)]),
    ]:
        with pytest.raises(ValueError, match=r".+"):
            verify_proof(text, event, keys)
