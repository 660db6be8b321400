"""Exceptions. [apex_classes_exception]"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.values import ApexThrown, LimitReached, NotModelled

if TYPE_CHECKING:
    from tests.unit.apex_runtime.conftest import Apex

OWN = """
public virtual class OwnException extends Exception {
    public class DeepException extends Exception { }
}
"""


def test_the_first_fitting_catch_takes_an_exception(apex: Apex) -> None:
    body = """
    try { throw new OwnException('own'); }
    catch (NullPointerException e) { System.debug('wrong'); }
    catch (OwnException e) { System.debug(e.getMessage() + ' ' + e.getTypeName()); }
    finally { System.debug('finally'); }
    try { Integer i = 1 / 0; } catch (Exception e) { System.debug(e); }
    """
    assert apex.run(body, OWN) == [
        "own OwnException",
        "finally",
        "System.MathException: Divide by 0",
    ]


def test_own_exceptions_have_four_constructors(apex: Apex) -> None:
    # Guide page apex_exception_custom
    body = """
    Exception cause = new OwnException.DeepException();
    System.debug(new OwnException('a', cause).getCause() === cause);
    System.debug(new OwnException(cause).getCause().getTypeName());
    System.debug(new OwnException().getMessage());
    """
    assert apex.run(body, OWN) == [
        "true",
        "OwnException.DeepException",
        "Script-thrown exception",
    ]


def test_finally_runs_on_every_way_out(apex: Apex) -> None:
    source = """
    public class T {
        public static Integer x = 0;
        public static Integer back() { try { return x; } finally { x = 5; } }
        public static void loop() { while (true) { try { break; } finally { x++; } } }
        public static void thrown() { try { throw new OwnException('a'); } finally { x++; } }
    }
    """
    body = "Integer got = T.back(); T.loop(); System.debug(got + ' ' + T.x); T.thrown();"
    session = apex.session(source, OWN)
    with pytest.raises(ApexThrown, match="OwnException: a"):
        session.anonymous(body)
    assert session.log == ["0 6"]
    assert 7 in session.roots()


def test_what_is_no_exception_of_apex_passes_every_catch(apex: Apex) -> None:
    # Guide page apex_exception_statements: limit exceptions can't be caught
    source = """
    public class Catches {
        public static void endless() { endless(); }
        public static void all() {
            try { endless(); } catch (Exception e) { System.debug('caught'); }
            finally { System.debug('finally'); }
        }
        public static void unknown() {
            try { Crypto.generateMac('x', Blob.valueOf(''), Blob.valueOf('')); }
            catch (Exception e) { System.debug('caught'); }
        }
    }
    """
    session = apex.session(source)
    with pytest.raises(LimitReached):
        session.call("Catches", "all")
    with pytest.raises(NotModelled, match="generateMac"):
        session.call("Catches", "unknown")
    assert session.log == []


def test_a_caught_exception_knows_its_line_and_trace(apex: Apex) -> None:
    source = "public class L {\n public static void f() {\n  throw new OwnException('x');\n }\n}"
    body = """
    try { L.f(); } catch (Exception e) {
        System.debug(e.getLineNumber() + ' ' + e.getStackTraceString().contains('L.f: line 3'));
    }
    """
    assert apex.run(body, source, OWN) == ["3 true"]


def test_an_exception_can_be_thrown_again(apex: Apex) -> None:
    body = """
    try { throw new OwnException('a'); } catch (OwnException e) { e.setMessage('b'); throw e; }
    """
    with pytest.raises(ApexThrown, match="OwnException: b"):
        apex.run(body, OWN)
