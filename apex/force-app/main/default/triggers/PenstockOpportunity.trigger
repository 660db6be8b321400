trigger PenstockOpportunity on Opportunity(after insert, after update, after delete, after undelete) {
	PenstockCapture.run();
}
