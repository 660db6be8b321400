trigger PenstockTask on Task(after insert, after update, after delete, after undelete) {
	PenstockCapture.run();
}
